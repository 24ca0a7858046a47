// VU: a bar from the centre, quick up and slow down, and a peak mark that hangs and falls (speed). At rest the glow alone.
#include "core/patterns/common.h"

namespace k1 {

namespace {
float bar, peak;    // 0..1 of the half strip
}

void start_vu() { bar = peak = 0.0f; }

void render_vu(FrameContext& f) {
    const float target = loudness(f.audio);
    bar += (target - bar) * math::ease(f.dt_s, target > bar ? 0.010f : 0.150f);
    bar = math::settle(bar);
    peak = math::max(bar, peak - (0.1f + 0.9f * f.p.speed) * f.dt_s);
    const Tint tint(f.p);
    const float glow = idle_drive(f.p);
    const float shift = 0.2f * f.p.color_reactivity;
    const float end = bar * kHalf, mark = peak * kHalf;
    for (size_t h = 0; h < kHalf; ++h) {
        const float place = static_cast<float>(h);
        const float in_bar = math::clamp01(end - place);                                    // soft last LED
        const float on_mark = math::clamp01(1.5f - math::abs(mark - place)) * math::clamp01(mark);
        const float at = place * kPlaceStep;
        put(f.leds, h, scaled(tint.at(at, shift * at), over_floor(glow, math::max(0.8f * in_bar, on_mark))));
    }
}

}  // namespace k1
