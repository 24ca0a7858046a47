// Run-time parameters of the contract: names, ranges, defaults, and the store both cores share.
#pragma once
#include <cstddef>
#include <cstdint>

#include "hal/task.h"

namespace k1 {

struct Params {
    float brightness = 1.0f;
    float softness = 0.25f;
    float color = 0.33f;
    float color_range = 0.0f;
    float saturation = 0.75f;
    float warmth = 0.0f;
    float background = 0.0f;
    float dithering = 1.0f;
    float mirror_mode = 1.0f;
    float led_offset = 0.0f;
    float speed = 0.5f;
    float palette_id = 0.0f;
    float custom_param_1 = 0.5f;
    float custom_param_2 = 0.5f;
    float custom_param_3 = 0.5f;
    float beat_threshold = 0.20f;
    float beat_squash_power = 0.50f;
    float audio_responsiveness = 0.5f;
    float audio_sensitivity = 1.0f;
    float bass_treble_balance = 0.0f;
    float color_reactivity = 0.5f;
    float brightness_floor = 0.05f;
    float frame_min_period_ms = 6.0f;
};

enum class ParamKind : uint8_t { real, flag, integer };

struct ParamSpec {
    const char* name;
    float Params::*field;
    float min, max, def, step;
    ParamKind kind;  // flag: true/false in JSON, 0/1 inside; integer: whole numbers (out of range -> default)
};

constexpr size_t kParamCount = 23;
extern const ParamSpec kParamSpecs[kParamCount];

const ParamSpec* param_find(const char* name);
// NaN gives the default; infinities and out-of-range values give the nearer edge (integers: the default).
float param_clean(const ParamSpec& spec, float value);

// One writer at a time, readers get a whole copy; safe from both cores.
class ParamStore {
  public:
    Params read() const;
    void write(const Params& p);
    // Cleans and stores one value; returns what was stored.
    float set(const ParamSpec& spec, float value);
    void reset();

  private:
    mutable hal::SpinLock lock_;
    Params now_;
};

}  // namespace k1
