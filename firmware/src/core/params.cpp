// The parameter table and the store that both cores share.
#include "core/params.h"

#include <cstring>

#include "core/math.h"

namespace k1 {

// Ranges and defaults are the device contract's; palette_id outside its range means palette 0.
const ParamSpec kParamSpecs[kParamCount] = {
    {"brightness", &Params::brightness, 0.0f, 1.0f, 1.0f, 0.01f, ParamKind::real},
    {"softness", &Params::softness, 0.0f, 1.0f, 0.25f, 0.01f, ParamKind::real},
    {"color", &Params::color, 0.0f, 1.0f, 0.33f, 0.01f, ParamKind::real},
    {"color_range", &Params::color_range, 0.0f, 1.0f, 0.0f, 0.01f, ParamKind::real},
    {"saturation", &Params::saturation, 0.0f, 1.0f, 0.75f, 0.01f, ParamKind::real},
    {"warmth", &Params::warmth, 0.0f, 1.0f, 0.0f, 0.01f, ParamKind::real},
    {"background", &Params::background, 0.0f, 1.0f, 0.0f, 0.01f, ParamKind::real},
    {"dithering", &Params::dithering, 0.0f, 1.0f, 1.0f, 1.0f, ParamKind::real},
    {"mirror_mode", &Params::mirror_mode, 0.0f, 1.0f, 1.0f, 1.0f, ParamKind::flag},
    {"led_offset", &Params::led_offset, -160.0f, 160.0f, 0.0f, 1.0f, ParamKind::real},
    {"speed", &Params::speed, 0.0f, 1.0f, 0.5f, 0.01f, ParamKind::real},
    {"palette_id", &Params::palette_id, 0.0f, 32.0f, 0.0f, 1.0f, ParamKind::integer},
    {"custom_param_1", &Params::custom_param_1, 0.0f, 1.0f, 0.5f, 0.01f, ParamKind::real},
    {"custom_param_2", &Params::custom_param_2, 0.0f, 1.0f, 0.5f, 0.01f, ParamKind::real},
    {"custom_param_3", &Params::custom_param_3, 0.0f, 1.0f, 0.5f, 0.01f, ParamKind::real},
    {"beat_threshold", &Params::beat_threshold, 0.0f, 1.0f, 0.20f, 0.01f, ParamKind::real},
    {"beat_squash_power", &Params::beat_squash_power, 0.2f, 1.0f, 0.50f, 0.01f, ParamKind::real},
    {"audio_responsiveness", &Params::audio_responsiveness, 0.0f, 1.0f, 0.5f, 0.01f, ParamKind::real},
    {"audio_sensitivity", &Params::audio_sensitivity, 0.1f, 4.0f, 1.0f, 0.01f, ParamKind::real},
    {"bass_treble_balance", &Params::bass_treble_balance, -1.0f, 1.0f, 0.0f, 0.01f, ParamKind::real},
    {"color_reactivity", &Params::color_reactivity, 0.0f, 1.0f, 0.5f, 0.01f, ParamKind::real},
    {"brightness_floor", &Params::brightness_floor, 0.0f, 0.3f, 0.05f, 0.01f, ParamKind::real},
    {"frame_min_period_ms", &Params::frame_min_period_ms, 4.0f, 20.0f, 6.0f, 0.1f, ParamKind::real},
};

const ParamSpec* param_find(const char* name) {
    for (const ParamSpec& spec : kParamSpecs)
        if (std::strcmp(spec.name, name) == 0) return &spec;
    return nullptr;
}

float param_clean(const ParamSpec& spec, float value) {
    if (math::is_nan(value)) return spec.def;
    const bool inside = value >= spec.min && value <= spec.max;
    if (spec.kind == ParamKind::integer) return inside ? math::floor(value + 0.5f) : spec.def;
    const float kept = math::clamp(value, spec.min, spec.max);
    if (spec.kind == ParamKind::flag) return kept >= 0.5f ? 1.0f : 0.0f;
    return kept;
}

Params ParamStore::read() const {
    hal::SpinGuard guard(lock_);
    return now_;
}

void ParamStore::write(const Params& p) {
    Params clean;
    for (const ParamSpec& spec : kParamSpecs) clean.*spec.field = param_clean(spec, p.*spec.field);
    hal::SpinGuard guard(lock_);
    now_ = clean;
}

float ParamStore::set(const ParamSpec& spec, float value) {
    const float kept = param_clean(spec, value);
    hal::SpinGuard guard(lock_);
    now_.*spec.field = kept;
    return kept;
}

void ParamStore::reset() { write(Params()); }

}  // namespace k1
