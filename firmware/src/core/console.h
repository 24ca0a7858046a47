// The console task: reads command lines, answers them.
#pragma once

namespace k1 {

// One round: waits for input up to `timeout_ms`, carries out the lines that are complete.
void console_step(unsigned timeout_ms);
// For ever.
void console_run(void*);

}  // namespace k1
