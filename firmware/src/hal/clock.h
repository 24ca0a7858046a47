// Device time. One clock: microseconds since boot, 64 bit, never wraps in a device's life.
#pragma once
#include <cstdint>

namespace hal {

// Microseconds since the app started (esp_timer on the chip, core cycles on the virtual board), plus what clock_set() added.
uint64_t clock_us();

// The clock goes on from `us`; a value in the past is ignored. Waits under way end when they would have ended. For HIL
// builds: 71 minutes of uptime without waiting for them, seen by everything that reads the clock.
void clock_set(uint64_t us);

}  // namespace hal
