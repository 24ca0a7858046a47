// Test patterns: bytes of the strip itself, made to be measured. docs/hil-patterns.md is their specification for whoever
// writes a decoder.
#include "core/patterns/common.h"

namespace k1 {

namespace {

// ---- hil_index

constexpr uint32_t kIndexBits = 8, kCheckBits = 4;
constexpr uint32_t kIndexSteps = 2 + 2 * (kIndexBits + kCheckBits);

uint32_t index_step;
float step_age_s;       // negative before the first frame

uint32_t gray(uint32_t n) { return n ^ (n >> 1); }

uint32_t odd_ones(uint32_t n) {    // 1 when the number of ones is odd
    n ^= n >> 8;
    n ^= n >> 4;
    n ^= n >> 2;
    n ^= n >> 1;
    return n & 1u;
}

// Bits 0-7: Gray code of the index. Bits 8-11: check bits, each the even parity of the Gray bits in its mask (the data
// positions of a Hamming (12, 8) code), so any two LEDs differ in at least three of the twelve.
uint32_t index_word(uint32_t led) {
    constexpr uint32_t kMasks[kCheckBits] = {0x5B, 0x6D, 0x8E, 0xF0};
    uint32_t word = gray(led);
    for (uint32_t c = 0; c < kCheckBits; ++c) word |= odd_ones(word & kMasks[c]) << (kIndexBits + c);
    return word;
}

// ---- hil_counter

constexpr uint32_t kCounterBits = 12, kFields = 16, kFieldLeds = 2;

uint8_t to_byte(float v) { return static_cast<uint8_t>(math::clamp01(v) * 255.0f + 0.5f); }

void grey(uint8_t* raw, size_t led, uint8_t level) {
    raw[3 * led] = raw[3 * led + 1] = raw[3 * led + 2] = level;
}

}  // namespace

void render_hil_solid(FrameContext& f) {
    const Rgb c = scaled(hue_colour(f.p.color, f.p.saturation), f.p.brightness);
    const uint8_t r = to_byte(c.r), g = to_byte(c.g), b = to_byte(c.b);
    for (size_t i = 0; i < kLeds; ++i) {
        f.raw[3 * i] = r;
        f.raw[3 * i + 1] = g;
        f.raw[3 * i + 2] = b;
    }
}

void render_hil_ramp(FrameContext& f) {
    constexpr uint32_t kGroup = 40;
    for (uint32_t i = 0; i < kLeds; ++i) {
        const uint32_t group = i / kGroup, k = i % kGroup;
        const uint8_t level = static_cast<uint8_t>((255 * k + 19) / 39);   // nearest; 255 k / 39 is never half-way
        f.raw[3 * i] = group == 0 || group == 3 ? level : 0;
        f.raw[3 * i + 1] = group == 1 || group == 3 ? level : 0;
        f.raw[3 * i + 2] = group == 2 || group == 3 ? level : 0;
    }
}

void start_hil_index() {
    index_step = 0;
    step_age_s = -1.0f;
}

void render_hil_index(FrameContext& f) {
    // 1 s x 0.04^speed: 1000, 200, 40 ms at speed 0, 0.5, 1.
    const float step_s = math::exp2(-4.6438562f * f.p.speed);
    step_age_s = step_age_s < 0.0f ? 0.0f : step_age_s + f.dt_s;      // the first frame starts step 0
    if (step_age_s >= step_s) {
        step_age_s -= step_s;
        index_step = index_step + 1 == kIndexSteps ? 0 : index_step + 1;
    }
    const uint8_t on = to_byte(f.p.brightness);
    const uint32_t bit = (index_step - 2) / 2, complement = index_step & 1u;
    for (uint32_t i = 0; i < kLeds; ++i) {
        const uint32_t lit = index_step < 2 ? 1u - index_step : ((index_word(i) >> bit) & 1u) ^ complement;
        grey(f.raw, i, lit != 0 ? on : 0);
    }
}

void render_hil_counter(FrameContext& f) {
    const uint32_t code = gray(f.seq & ((1u << kCounterBits) - 1u));
    const uint32_t toggle = f.seq & 1u;
    uint32_t fields = 1u | code << 2;                                  // field 0 on, field 1 off, 2-13 code from bit 0
    fields |= (1u - odd_ones(code)) << 14;                             // makes the lit fields of 2-14 odd in number
    fields |= toggle << 15;
    const uint8_t on = to_byte(f.p.brightness);
    for (uint32_t i = 0; i < kLeds; ++i) grey(f.raw, i, (fields >> (i / kFieldLeds % kFields) & 1u) != 0 ? on : 0);
}

void render_hil_flash(FrameContext& f) {
    constexpr float kLoud = 0.02f;      // mean |x| of the newest 5 ms, full scale 1
    const uint8_t level = f.audio.valid && f.audio.hop_level > kLoud ? to_byte(f.p.brightness) : 0;
    for (size_t i = 0; i < kLeds; ++i) grey(f.raw, i, level);
}

}  // namespace k1
