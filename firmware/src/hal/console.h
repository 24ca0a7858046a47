// The serial console (USB-Serial/JTAG on K1). Never blocks the writer.
#pragma once
#include <cstddef>
#include <cstdint>

namespace hal {

// Takes as much of the text as the transmit buffer holds; returns how many bytes that was (0 when the host does not read).
size_t console_write(const uint8_t* data, size_t n);
// Room in the transmit buffer.
size_t console_room();
// Bytes that have come in, up to `cap`; 0 when none.
size_t console_read(uint8_t* data, size_t cap);
// Waits until console_read() would give something. False on time-out.
bool console_wait(uint32_t timeout_ms);

}  // namespace hal
