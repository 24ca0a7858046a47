// Tasks, waiting and short critical sections. Two cores; on each the highest-priority ready task runs.
#pragma once
#include <cstddef>
#include <cstdint>

namespace hal {

using TaskFn = void (*)(void* arg);

struct TaskSpec {
    const char* name;      // static string, shown in panic text
    TaskFn fn;             // never returns
    void* arg;
    uint32_t stack_bytes;
    uint8_t priority;      // higher runs first; 1 is just above idle
    uint8_t core;          // 0 or 1
};

// False when memory for the stack cannot be had.
bool spawn(const TaskSpec& spec);

// Gives the core away until `t_us` on clock_us(); returns at once when that has passed.
void sleep_until_us(uint64_t t_us);
// Gives the core away for at least `ms`.
void sleep_ms(uint32_t ms);

// A wake-up flag between tasks: give() is safe from any task on either core, give() while nobody waits is remembered once.
// Statically allocated; opaque words are the board layer's business.
class Signal {
  public:
    Signal();
    void give();
    // True when given, false on time-out. kForever never times out.
    bool take(uint32_t timeout_ms);
    static constexpr uint32_t kForever = 0xFFFFFFFFu;

  private:
    void* impl_[4];
};

// Cross-core critical section for a handful of instructions: no waiting, no I/O, no allocation inside.
class SpinLock {
  public:
    SpinLock();
    void lock();
    void unlock();

  private:
    uint32_t impl_[4];
};

class SpinGuard {
  public:
    explicit SpinGuard(SpinLock& l) : l_(l) { l_.lock(); }
    ~SpinGuard() { l_.unlock(); }
    SpinGuard(const SpinGuard&) = delete;
    SpinGuard& operator=(const SpinGuard&) = delete;

  private:
    SpinLock& l_;
};

}  // namespace hal
