// Cuts a byte stream into command lines, however the bytes are split. Bounded; a line that is too long is reported once and skipped.
#pragma once
#include <cstddef>
#include <cstdint>

namespace k1 {

class LineReader {
  public:
    static constexpr size_t kMost = 160;
    enum class Event : uint8_t { none, line, too_long };

    // Takes one byte. `line`: text() holds a line without its end, until the next byte. '\r' is ignored, '\n' ends.
    Event take(uint8_t byte);
    const char* text() const { return text_; }
    size_t size() const { return ended_size_; }

  private:
    char text_[kMost + 1] = {};
    size_t n_ = 0, ended_size_ = 0;
    bool skipping_ = false;
};

}  // namespace k1
