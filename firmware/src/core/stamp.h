// Device stamps: what the device writes on its telemetry and into its API as time.
#pragma once
#include <cstdint>

namespace k1 {

uint64_t stamp_now_us();
// The contract's 32-bit stamps: the low half of a clock_us() reading.
constexpr uint32_t stamp32_us(uint64_t clock_us) { return static_cast<uint32_t>(clock_us); }
uint32_t stamp_now_ms();

}  // namespace k1
