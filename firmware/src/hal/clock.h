// Device time. One clock: microseconds since boot, 64 bit, never wraps in a device's life.
#pragma once
#include <cstdint>

namespace hal {

// Microseconds since the app started (esp_timer on the chip, core cycles on the virtual board).
uint64_t clock_us();

}  // namespace hal
