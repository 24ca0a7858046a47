// Lines on their way to the console. Any task on either core puts whole lines in without waiting; one task takes them out.
#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "hal/task.h"

namespace k1 {

class LineQueue {
  public:
    static constexpr size_t kDepth = 16;
    static constexpr size_t kLineBytes = 320;  // the longest sentence that goes this way is ID, about 250

    // False when all places are taken or the line is too long: the line is lost and counted.
    bool push(const char* line, size_t n);
    // The oldest whole line, nullptr when there is none. Stays until pop().
    const char* front(size_t* n) const;
    void pop();
    bool empty() const;
    uint32_t lost() const { return lost_.load(std::memory_order_relaxed); }

  private:
    struct Place {
        std::atomic<bool> ready{false};
        uint16_t n = 0;
        char text[kLineBytes];
    };

    void count_loss();

    mutable hal::SpinLock lock_;  // guards head_ and tail_ for the few instructions that move them
    uint32_t head_ = 0, tail_ = 0;
    std::atomic<uint32_t> lost_{0};
    std::array<Place, kDepth> places_;
};

}  // namespace k1
