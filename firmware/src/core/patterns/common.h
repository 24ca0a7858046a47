// What the patterns share: the mirrored strip, audio curves, decays that do not depend on the frame rate.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/math.h"
#include "core/palettes.h"
#include "core/pattern.h"

namespace k1 {

constexpr size_t kHalf = kLeds / 2;               // places from the centre (0) to an end (79)
constexpr float kPlaceStep = 1.0f / (kHalf - 1);  // place -> 0..1

// Paints place h on both sides of the centre: LEDs 79 - h and 80 + h.
inline void put(Rgb* leds, size_t h, Rgb c) {
    leds[kCentre - h] = c;
    leds[kCentre + 1 + h] = c;
}

// Drive value whose light, after gamma 2.0, is the share `brightness_floor` of full: the glow of an audio pattern at rest.
inline float idle_drive(const Params& p) { return math::sqrt(p.brightness_floor); }

// Level 0..1 over the resting glow.
inline float over_floor(float floor_drive, float level) { return floor_drive + (1.0f - floor_drive) * level; }

// Mean level to a picture size 0..1: speech and single tones (vu 0.05-0.1) fill a third, dense music (0.3) all of it.
inline float loudness(const AudioSnapshot& a) { return math::clamp01(1.8f * math::sqrt(a.vu)); }

// Multiplier for a decay over dt_s with time constant tau_s.
inline float decay(float dt_s, float tau_s) { return math::exp(-dt_s / tau_s); }

void render_departure(FrameContext& f);
void render_lava(FrameContext& f);
void render_twilight(FrameContext& f);
void render_spectrum(FrameContext& f);
void render_octave(FrameContext& f);
void start_vu();
void render_vu(FrameContext& f);
void start_pulse();
void render_pulse(FrameContext& f);
void start_bloom();
void render_bloom(FrameContext& f);
void start_perlin();
void render_perlin(FrameContext& f);
void start_metronome();
void render_metronome(FrameContext& f);
void start_breathe();
void render_breathe(FrameContext& f);
void render_hil_solid(FrameContext& f);
void render_hil_ramp(FrameContext& f);
void start_hil_index();
void render_hil_index(FrameContext& f);
void render_hil_counter(FrameContext& f);
void render_hil_flash(FrameContext& f);

}  // namespace k1
