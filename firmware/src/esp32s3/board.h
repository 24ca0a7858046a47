// Pins and sizes of the K1 board. Everything else about the hardware lives in the file that drives it.
#pragma once

namespace board {

constexpr int kStripPinA = 5;        // primary WS2812 output
constexpr int kStripPinB = 4;        // secondary WS2812 output
constexpr int kMicBitClockPin = 14;  // SPH0645 BCLK
constexpr int kMicWordClockPin = 12; // LRCLK
constexpr int kMicDataPin = 13;      // DOUT of the microphone

}  // namespace board
