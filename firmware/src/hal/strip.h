// The two WS2812 outputs (GPIO5, GPIO4 on K1), always sent together.
#pragma once
#include <cstddef>
#include <cstdint>

namespace hal {

bool strip_begin();

// Sends `leds` RGB triples to each output at the same time and waits for the last bit and the latch pause to pass:
// leds x 30 us + latch_us (160 LEDs: 4.80 ms + latch). Colour order on the wire (GRB) is the board layer's business.
// False when the transmitter did not finish in time; the frame is then lost.
bool strip_send(const uint8_t* rgb_a, const uint8_t* rgb_b, size_t leds, uint32_t latch_us);

}  // namespace hal
