#include "core/colour.h"

#include <cstring>

#include "core/math.h"

namespace k1 {

namespace {

constexpr float kShoulder = 0.75f;
constexpr float kWhiteBalance[3] = {1.0f, 0.9375f, 0.84f};
constexpr float kIncandescent[3] = {1.0f, 0.4452f, 0.1562f};   // where warmth leads
constexpr float kDitherLeast = 0.055f;   // smaller remainders are dropped: they would blink every 20 frames and less
constexpr float kNever = 1e-20f;         // keeps decaying pixels out of the slow subnormal numbers; far below any light

// Frame-rate independent form of the K1 low-pass, whose step at its 6 ms frame is 1 - exp(-2 pi fc / 100) with
// fc = 0.5 + 14.5 (1 - sqrt(softness)) Hz: at softness 0.25 a time constant of 12 ms.
float smoothing_step(float softness, float dt_s) {
    const float cutoff_hz = 0.5f + (1.0f - math::sqrt(softness)) * 14.5f;
    return 1.0f - math::exp(-math::kTwoPi * cutoff_hz * 0.01f * dt_s / 0.006f);
}

// One channel of one LED: `light` in steps of 1/255 becomes a byte; what truncation drops is owed to the next frames.
inline uint8_t quantise(float light, float& owed, float dither) {
    const int32_t whole = static_cast<int32_t>(light);
    const float rest = light - static_cast<float>(whole);
    // Selects and truncations instead of branches: this runs 480 times a frame.
    const uint32_t kept = 0u - static_cast<uint32_t>(rest >= kDitherLeast);
    const float debt = owed + math::float_of(math::bits_of(rest * dither) & kept);   // [0, 2)
    const int32_t extra = static_cast<int32_t>(debt);
    owed = debt - static_cast<float>(extra);
    return static_cast<uint8_t>(whole + extra);
}

inline float approach(float from, float to, float step) {
    return from + (math::max(to, 0.0f) - from) * step + kNever;
}

inline float squared(float v) { return v * v; }

}  // namespace

float soft_clip(float v) { return v > kShoulder ? kShoulder + 0.25f * math::tanh(4.0f * (v - kShoulder)) : v; }

void ColourPipeline::begin() {
    std::memset(static_cast<void*>(smooth_), 0, sizeof smooth_);
    std::memset(error_, 0, sizeof error_);
}

void ColourPipeline::process(const Rgb* in, uint8_t* out, const Params& p, float dt_s) {
    const float step = smoothing_step(p.softness, dt_s);
    const float dither = p.dithering >= 0.5f ? 1.0f : 0.0f;
    // sqrt(255) inside the square: one multiplication per channel for warmth, balance, brightness and scale together.
    constexpr float kSqrt255 = 15.9687194f;
    const float master = (0.3f + 0.7f * p.brightness) * kSqrt255;
    float gain[3];
    for (size_t c = 0; c < 3; ++c) gain[c] = math::lerp(1.0f, kIncandescent[c], p.warmth) * kWhiteBalance[c] * master;
    const float gr = gain[0], gg = gain[1], gb = gain[2];

    int32_t offset = math::round_to_int(p.led_offset) % static_cast<int32_t>(kLeds);
    if (offset < 0) offset += static_cast<int32_t>(kLeds);
    uint8_t* to = out + 3 * offset;
    uint8_t* const end = out + 3 * kLeds;
    float* owed = error_;
    for (size_t i = 0; i < kLeds; ++i) {
        Rgb& s = smooth_[i];
        s.r = approach(s.r, in[i].r, step);
        s.g = approach(s.g, in[i].g, step);
        s.b = approach(s.b, in[i].b, step);
        Rgb v = s;
        if (math::max(math::max(v.r, v.g), v.b) > kShoulder) v = {soft_clip(v.r), soft_clip(v.g), soft_clip(v.b)};
        to[0] = quantise(squared(v.r * gr), owed[0], dither);
        to[1] = quantise(squared(v.g * gg), owed[1], dither);
        to[2] = quantise(squared(v.b * gb), owed[2], dither);
        owed += 3;
        to += 3;
        to -= static_cast<size_t>(to == end) * (3 * kLeds);
    }
}

}  // namespace k1
