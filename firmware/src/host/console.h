// The console's transmit side, as panic and session need it.
#pragma once
#include <cstddef>

#include "host/chip.h"

namespace host {

// Sends every packet that has left the buffer by `t`.
void console_advance(Cycles t);
void console_begin();
// The panic handler writes past the buffer: what was waiting in it is lost, as on the chip.
void console_print_at_once(const char* text, size_t n);

}  // namespace host
