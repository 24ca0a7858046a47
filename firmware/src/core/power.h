// What the strips draw, estimated from the bytes sent, and the cap that keeps a bench supply alive.
#pragma once
#include <cstddef>
#include <cstdint>

namespace k1 {

// Both strips (the same kLeds x 3 bytes on each), in mA: 1 mA per LED for its controller, 20 mA per channel at full.
// All 320 LEDs on white: 19,520 mA.
uint32_t estimate_ma(const uint8_t* rgb);

// Dims the whole frame evenly, so that the estimate is at most `cap_ma` (0: no cap); what the controllers draw is not
// to be had below. Returns whether it had to; `ma` gets the estimate of what is left.
bool limit_power(uint8_t* rgb, uint32_t cap_ma, uint32_t* ma);

}  // namespace k1
