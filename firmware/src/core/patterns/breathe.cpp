// Breathe: the whole strip swells and falls, never to black. Period 8 s x (1/8)^speed: 8 s at 0, 2.83 s at 0.5, 1 s at 1.
// Starts at the low point when selected; a change of speed bends the motion and does not jump.
#include "core/patterns/common.h"

namespace k1 {

namespace {
float phase;    // turns
}

void start_breathe() { phase = 0.0f; }

void render_breathe(FrameContext& f) {
    const float period_s = 8.0f * math::exp2(-3.0f * f.p.speed);
    phase = math::fract(phase + f.dt_s / period_s);
    const float drive = 0.2f + 0.8f * (0.5f - 0.5f * math::cos_turns(phase));
    const Tint tint(f.p);
    for (size_t h = 0; h < kHalf; ++h) {
        const float at = static_cast<float>(h) * kPlaceStep;
        put(f.leds, h, scaled(tint.at(at), drive * (1.0f - 0.5f * at)));
    }
}

}  // namespace k1
