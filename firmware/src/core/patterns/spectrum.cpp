// Spectrum: the 64 semitone bins from the centre (78 Hz) to the ends (2960 Hz). Octave: the same folded onto one octave,
// twelve notes from the centre outwards. At rest both show a constant, even glow.
#include "core/patterns/common.h"

namespace k1 {

void render_spectrum(FrameContext& f) {
    const Tint tint(f.p);
    const float glow = idle_drive(f.p);
    const float quick = f.p.audio_responsiveness, gain = f.p.audio_sensitivity;
    const float shift = 0.2f * f.p.color_reactivity;
    float level[kBins + 1];
    for (size_t i = 0; i < kBins; ++i)
        level[i] = math::clamp01(gain * math::lerp(f.audio.spectrum_smooth[i], f.audio.spectrum[i], quick));
    level[kBins] = level[kBins - 1];
    constexpr float kBinsPerPlace = static_cast<float>(kBins - 1) / (kHalf - 1);
    for (size_t h = 0; h < kHalf; ++h) {
        const float at = static_cast<float>(h) * kBinsPerPlace;
        const size_t bin = static_cast<size_t>(at);
        const float v = math::lerp(level[bin], level[bin + 1], at - static_cast<float>(bin));
        put(f.leds, h, scaled(tint.at(static_cast<float>(h) * kPlaceStep, shift * v), over_floor(glow, v)));
    }
}

void render_octave(FrameContext& f) {
    const Tint tint(f.p);
    const float glow = idle_drive(f.p);
    // A single tone fills one of the five octaves folded together; 2.5 lets it reach half of full.
    const float gain = 2.5f * f.p.audio_sensitivity;
    const float spread = f.p.color_reactivity;     // 0: one colour, 1: the notes go round the colour circle
    float level[kChroma + 1];
    for (size_t i = 0; i < kChroma; ++i) level[i] = math::clamp01(gain * f.audio.chroma[i]);
    level[kChroma] = level[kChroma - 1];
    for (size_t h = 0; h < kHalf; ++h) {
        const float at = math::max(static_cast<float>(h) * (static_cast<float>(kChroma) / kHalf) - 0.5f, 0.0f);
        const size_t note = static_cast<size_t>(at);
        // Steep blend between neighbours, so that twelve bands can be told apart.
        const float blend = math::clamp01(3.0f * (at - static_cast<float>(note)) - 1.0f);
        const float v = math::lerp(level[note], level[note + 1], blend);
        put(f.leds, h, scaled(tint.at(at * (1.0f / kChroma), spread * at * (1.0f / kChroma)), over_floor(glow, v)));
    }
}

}  // namespace k1
