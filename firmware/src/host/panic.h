// How the modelled chip dies: the panic handler's words on the console, a reset reason to the board, end of the process.
#pragma once
#include <cstdint>

#include "hal/system.h"

namespace host {

struct Task;

// Catches bad pointers, overflowing stacks, division by zero and illegal instructions of the firmware.
void panic_install();

[[noreturn]] void panic_abort(const char* what);                    // abort(); `what` may be nullptr
[[noreturn]] void panic_stack_overflow(const Task& task);           // found at a task switch
[[noreturn]] void panic_task_returned(const Task& task);
[[noreturn]] void panic_corrupt_heap(const char* end, const void* at);
// The idle task of core 0 has not run for 5 s. `core1` is what runs there, nullptr for idle.
[[noreturn]] void panic_task_watchdog(const Task* core1, const Task* core0);
// `task` has had interrupts off on `core` for 300 ms.
[[noreturn]] void panic_interrupt_watchdog(uint8_t core, const Task& task);
// A reset without panic text.
[[noreturn]] void reset_chip(hal::ResetReason reason);

}  // namespace host
