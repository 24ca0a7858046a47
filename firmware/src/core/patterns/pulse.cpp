// Pulse: each onset or beat starts a wave in the centre that runs outwards and fades. `speed` sets how fast
// (40-200 LEDs/s), custom_param_1 how wide, beat_squash_power how much weak events are lifted. Between events a body of
// light in the centre follows the loudness. At rest the glow alone.
#include <cstring>

#include "core/patterns/common.h"

namespace k1 {

namespace {

constexpr size_t kWaves = 8;
constexpr float kApartS = 0.08f;       // a beat and the onset that caused it make one wave

struct Wave {
    float place, strength;             // strength 0: free
};

Wave waves[kWaves];
size_t next_wave;
float since_s;
uint32_t beats_seen, onsets_seen;
bool counting;                         // the counters have been looked at once

void launch_on_events(FrameContext& f) {
    const bool beat = counting && f.audio.beats != beats_seen;
    const bool onset = counting && f.audio.onsets != onsets_seen;
    beats_seen = f.audio.beats;
    onsets_seen = f.audio.onsets;
    counting = true;
    since_s += f.dt_s;
    if (!(beat || onset) || since_s < kApartS) return;
    since_s = 0.0f;
    const float force = math::max(beat ? f.audio.tempo_confidence : 0.0f, onset ? f.audio.onset : 0.0f);
    waves[next_wave] = {0.0f, math::pow(math::clamp01(force), f.p.beat_squash_power)};
    next_wave = (next_wave + 1) % kWaves;
}

}  // namespace

void start_pulse() {
    std::memset(static_cast<void*>(waves), 0, sizeof waves);
    next_wave = 0;
    since_s = kApartS;
    counting = false;
}

void render_pulse(FrameContext& f) {
    launch_on_events(f);
    float level[kHalf];
    const float body = 0.5f * loudness(f.audio), reach = 1.0f / (4.0f + 20.0f * body);
    for (size_t h = 0; h < kHalf; ++h) level[h] = body * math::sq(math::max(1.0f - static_cast<float>(h) * reach, 0.0f));

    const float advance = (40.0f + 160.0f * f.p.speed) * f.dt_s, fade = decay(f.dt_s, 0.6f);
    const float width = 4.0f + 12.0f * f.p.custom_param_1;
    for (Wave& w : waves) {
        if (w.strength < 0.01f) continue;
        const int32_t first = math::round_to_int(math::max(w.place - width, 0.0f));
        const int32_t last = math::round_to_int(math::min(w.place + width, kHalf - 1.0f));
        for (int32_t h = first; h <= last; ++h) {
            const float u = (static_cast<float>(h) - w.place) / width;
            level[h] += w.strength * math::sq(math::max(1.0f - u * u, 0.0f));
        }
        w.place += advance;
        w.strength = w.place > kHalf + width ? 0.0f : w.strength * fade;
    }

    const Tint tint(f.p);
    const float glow = idle_drive(f.p), shift = 0.2f * f.p.color_reactivity;
    for (size_t h = 0; h < kHalf; ++h) {
        const float v = math::min(level[h], 1.0f);
        put(f.leds, h, scaled(tint.at(static_cast<float>(h) * kPlaceStep, shift * v), over_floor(glow, v)));
    }
}

}  // namespace k1
