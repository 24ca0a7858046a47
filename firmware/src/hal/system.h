// The chip itself: identity, reset, heap accounting, a timer that fires whatever the tasks do.
#pragma once
#include <cstddef>
#include <cstdint>

namespace hal {

enum class ResetReason : uint8_t { unknown, power_on, external, software, panic, int_watchdog, task_watchdog, brownout, usb };

ResetReason reset_reason();
void chip_mac(uint8_t mac[6]);
uint32_t random_u32();
[[noreturn]] void restart();
// Prints the chip's abort text with `what` and resets.
[[noreturn]] void fail(const char* what);

// The one accounting heap. nullptr when it is exhausted. Never used in the frame path.
void* heap_take(size_t bytes);
void heap_give(void* p);
size_t heap_free();
size_t heap_least_free();
size_t heap_total();

// Calls `fn` once, `after_us` from now, above all tasks (timer interrupt context: short, no waiting). One alarm; setting again replaces it.
void alarm_set(uint64_t after_us, void (*fn)());
void alarm_clear();

}  // namespace hal
