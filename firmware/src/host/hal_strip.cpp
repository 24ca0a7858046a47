// The two strips: light leaves when a transmission begins, the caller waits until the latch pause is over.
#include "hal/strip.h"

#include "host/chip.h"
#include "host/costs.h"
#include "host/link.h"

namespace {
constexpr uint64_t kLedNs = 30000;          // 24 bits of 1.25 us
constexpr size_t kMaxLeds = 1024;
bool begun = false;
}  // namespace

namespace hal {

bool strip_begin() {
    host::charge(host::cost::kStripStart);
    begun = true;
    return true;
}

bool strip_send(const uint8_t* rgb_a, const uint8_t* rgb_b, size_t leds, uint32_t latch_us) {
    if (!begun || leds > kMaxLeds) return false;
    host::charge(host::cost::kStripStart);
    host::frame_begin(host::Out::light);
    host::frame_put(host::now_ns());
    host::frame_put(latch_us);
    host::frame_put(static_cast<uint16_t>(leds));
    host::frame_bytes(rgb_a, leds * 3);
    host::frame_bytes(rgb_b, leds * 3);
    host::frame_end();
    uint64_t ns = leds * kLedNs + latch_us * uint64_t{1000};
    host::wait_for(nullptr, host::now() + host::cycles_from_ns(ns));
    return true;
}

}  // namespace hal
