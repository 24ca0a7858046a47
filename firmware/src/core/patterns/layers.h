// Parts of patterns that are generated from a specification (docs/patterns.md says what each of its words means).
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/patterns/common.h"

namespace k1 {

// Rates follow `speed`: as specified at its default 0.5, half at 0, double at 1.
inline float pace(const Params& p) { return math::exp2(2.0f * p.speed - 1.0f); }

// A layer's fader: as specified at the default 0.5 of its parameter, off at 0, double at 1.
inline float fader(float custom_param) { return 2.0f * custom_param; }

// Colour at `at` turns of a ring of keys, whose last stands at 1 and repeats the first. `saturation` as in Tint.
template <size_t N>
Rgb ring_colour(const GradientKey (&keys)[N], float at, const Params& p) {
    return mixed({1.0f, 1.0f, 1.0f}, gradient(keys, N, math::fract(at)), math::clamp01(p.saturation * (1.0f / 0.75f)));
}

inline void add(Rgb& sum, Rgb c) { sum = {sum.r + c.r, sum.g + c.g, sum.b + c.b}; }

// ---- figures: level 0..1 at u = 0..1 of the distance from one figure to the next, 0 on the figure

inline float wave_at(float u) { return 0.5f + 0.5f * math::cos_turns(u); }

// A head and, over the share `tail` of the distance, what it leaves behind: at growing u, or at falling u.
inline float comet_at(float u, float tail, bool outwards) {
    const float behind = outwards ? 1.0f - u : u;
    return math::sq(math::positive(1.0f - behind * (1.0f / tail)));
}

// A dot as wide as the share `width` of the distance.
inline float dot_at(float u, float width) {
    const float away = math::min(u, 1.0f - u) * (2.0f / width);
    return math::positive(1.0f - away * away);
}

// A bar of `size` 0..1 of the half strip from the centre, its last LED soft.
inline float bar_at(size_t h, float size) { return math::clamp01(size * kHalf - static_cast<float>(h)); }

// Swell: 1 at the top, 1 - depth at the bottom, where it starts.
inline float swell_at(float turns, float depth) { return 1.0f - depth * (0.5f + 0.5f * math::cos_turns(turns)); }

// Moves a phase on by `by` turns (|by| < 2^31) and keeps it within one turn.
inline void turn(float& phase, float by) { phase = math::fract(phase + by); }

// ---- sound

// The loudest of the semitone bins `first` to `last`, 0..1.
inline float band(const FrameContext& f, size_t first, size_t last) {
    float most = 0.0f;
    for (size_t i = first; i <= last; ++i) most = math::max(most, f.audio.spectrum[i]);
    return math::clamp01(most * f.p.audio_sensitivity);
}

// Three bands that answer apart. High semitones are heard through short windows, in which a lower tone leaves a share of
// itself (bass in treble up to 0.52, bass in mid and mid in treble up to 0.17): that share is taken off again.
inline float bass(const FrameContext& f) { return band(f, 0, 20); }        // 78-247 Hz
inline float mid(const FrameContext& f) { return math::positive(band(f, 21, 41) - 0.2f * bass(f)); }      // 262-831 Hz
inline float treble(const FrameContext& f) {                                                              // 880-2960 Hz
    return math::positive(band(f, 42, 63) - 0.6f * bass(f) - 0.2f * band(f, 21, 41));
}

// What has risen and fallen with a source 0..1, in one-pole steps with a time constant for either way.
struct Follower {
    float now;

    float follow(float source, float dt_s, float attack_s, float release_s) {
        return now = math::settle(now + (source - now) * math::ease(dt_s, source > now ? attack_s : release_s));
    }
};

// What an event sets off: it rises to the top and falls at once. Events are told by a counter that has moved.
struct Struck {
    float now;
    uint32_t seen;
    bool counting, rising;

    float follow(uint32_t events, float dt_s, float attack_s, float release_s) {
        if (counting && events != seen) rising = true;
        seen = events;
        counting = true;
        now = math::settle(now + ((rising ? 1.0f : 0.0f) - now) * math::ease(dt_s, rising ? attack_s : release_s));
        if (now >= 0.95f) rising = false;
        return now;
    }
};

}  // namespace k1
