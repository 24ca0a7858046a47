// Three still pictures. They depend on nothing but the colour pipeline's parameters, so their settled pixels are golden
// values: the same on every device, for ever.
#include "core/patterns/common.h"

namespace k1 {

namespace {

// Positions count from the centre (0) to the ends (1).
const GradientKey kDeparture[] = {
    {0.00f, 0x301408}, {0.25f, 0xC88040}, {0.45f, 0xFFFFF0}, {0.60f, 0x80FF80}, {0.78f, 0x10C010}, {1.00f, 0x003700},
};
const GradientKey kLava[] = {
    {0.00f, 0xFFFFC8}, {0.15f, 0xFFDC50}, {0.40f, 0xFF7800}, {0.65f, 0xDC1E00}, {0.85f, 0x780000}, {1.00f, 0x280000},
};
const GradientKey kTwilight[] = {
    {0.00f, 0xFFB464}, {0.20f, 0xFF6E50}, {0.40f, 0xC83C78}, {0.60f, 0x6E28A0}, {0.80f, 0x28288C}, {1.00f, 0x0A1446},
};

template <size_t N>
void paint(FrameContext& f, const GradientKey (&keys)[N]) {
    for (size_t h = 0; h < kHalf; ++h) put(f.leds, h, gradient(keys, N, static_cast<float>(h) * kPlaceStep));
}

}  // namespace

void render_departure(FrameContext& f) { paint(f, kDeparture); }
void render_lava(FrameContext& f) { paint(f, kLava); }
void render_twilight(FrameContext& f) { paint(f, kTwilight); }

}  // namespace k1
