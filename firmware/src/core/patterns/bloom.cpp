// Bloom: light wells up at the source with loudness and onsets, drifts away (speed: 20-120 LEDs/s) and fades.
// Mirrored about the centre; with mirror_mode off the source is LED 0 and the drift runs along the whole strip.
// At rest the glow alone.
#include <cstring>

#include "core/patterns/common.h"

namespace k1 {

namespace {
Rgb trail[kLeds];      // by distance from the source
}

void start_bloom() { std::memset(static_cast<void*>(trail), 0, sizeof trail); }

void render_bloom(FrameContext& f) {
    const bool mirrored = f.p.mirror_mode >= 0.5f;
    const size_t length = mirrored ? kHalf : kLeds;
    const float drift = math::min((20.0f + 100.0f * f.p.speed) * f.dt_s, 8.0f);
    const size_t whole = static_cast<size_t>(drift);
    const float part = drift - static_cast<float>(whole), keep = decay(f.dt_s, 0.9f);
    const Tint tint(f.p);
    const float level = math::clamp01(0.8f * loudness(f.audio) + 0.4f * f.audio.onset);
    const Rgb source = scaled(tint.at(0.0f, 0.35f * f.p.color_reactivity * level), level);

    // Farthest first: each place takes what was `drift` nearer to the source. A whole step reaches two places back.
    for (size_t d = length - 1; d > whole; --d) {
        const Rgb c = mixed(trail[d - whole], trail[d - whole - 1], part);
        trail[d] = {math::settle(c.r * keep), math::settle(c.g * keep), math::settle(c.b * keep)};
    }
    for (size_t d = 0; d <= whole; ++d) trail[d] = source;

    const float glow = idle_drive(f.p);
    for (size_t d = 0; d < length; ++d) {
        const Rgb base = scaled(tint.at(static_cast<float>(d) / static_cast<float>(length)), glow);
        const Rgb c = {math::max(base.r, trail[d].r), math::max(base.g, trail[d].g), math::max(base.b, trail[d].b)};
        if (mirrored) put(f.leds, d, c);
        else f.leds[d] = c;
    }
}

}  // namespace k1
