#include "core/onset.h"

#include "core/math.h"

namespace k1 {

namespace {
constexpr float kLeastLoud = 0.005f;   // amplitude that still counts as loud: noise of a quiet room is no event
}

void OnsetDetector::begin() {
    for (auto& frame : past_)
        for (float& v : frame) v = 0.0f;
    past_at_ = 0;
    loudest_ = kLeastLoud;
    flux_ = mean_ = deviation_ = 0.0f;
    since_ = kRefractoryFrames;
}

float OnsetDetector::update(const float* amplitude) {
    const float scale = 16.0f / loudest_;
    float loudest = kLeastLoud;
    float* past = past_[past_at_];
    past_at_ = past_at_ + 1 == kLag ? 0 : past_at_ + 1;
    float rise = 0.0f;
    for (size_t i = 0; i < kBins; ++i) {
        const float now = math::log2(1.0f + scale * amplitude[i]);
        rise += math::max(now - past[i], 0.0f);
        past[i] = now;
        loudest = math::max(loudest, amplitude[i]);
    }
    loudest_ += (loudest - loudest_) * (loudest > loudest_ ? 0.10f : 0.0025f);
    flux_ = rise / kBins;

    // Threshold from mean and mean absolute deviation of the last half second; the newest frame enters limited, so
    // that one attack does not deafen the detector for the next.
    constexpr float kForget = 0.01f;
    const float threshold = math::max(mean_ + 4.5f * deviation_, kLeastFlux);
    const float limited = math::min(flux_, threshold);
    mean_ += (limited - mean_) * kForget;
    deviation_ += (math::abs(limited - mean_) - deviation_) * kForget;

    if (since_ < kRefractoryFrames) {
        ++since_;
        return 0.0f;
    }
    if (flux_ <= threshold) return 0.0f;
    since_ = 0;
    return math::clamp01(flux_);
}

void OnsetDetector::silence() {
    for (auto& frame : past_)
        for (float& v : frame) v = 0.0f;
    flux_ = 0.0f;
    mean_ = math::settle(mean_ * 0.99f);
    deviation_ = math::settle(deviation_ * 0.99f);
    if (since_ < kRefractoryFrames) ++since_;
}

}  // namespace k1
