#include "core/vu.h"

#include "core/math.h"

namespace k1 {

void PeakVu::begin() {
    for (float& v : log_) v = 0.0f;
    for (float& v : recent_) v = 0.0f;
    entry_sum_ = 0.0f;
    entry_hops_ = 0;
    log_at_ = 0;
    ceiling_ = 0.0f;
    recent_at_ = 0;
}

float PeakVu::update(float peak, float floor_share) {
    constexpr float kLeastCeiling = 0.01f;   // noise alone must not reach full deflection
    constexpr float kAttack = 0.25f, kRelease = 0.0025f;  // per hop: 20 ms up, 2 s down
    entry_sum_ += peak;
    if (++entry_hops_ == kHopsPerEntry) {
        log_[log_at_] = entry_sum_ / kHopsPerEntry;
        log_at_ = log_at_ + 1 == kLog ? 0 : log_at_ + 1;
        entry_sum_ = 0.0f;
        entry_hops_ = 0;
    }
    float quietest = log_[0];
    for (float v : log_) quietest = math::min(quietest, v);
    const float above = math::max(peak - quietest * floor_share, 0.0f);
    ceiling_ = math::settle(ceiling_ + (above - ceiling_) * (above > ceiling_ ? kAttack : kRelease));
    recent_[recent_at_] = math::clamp01(above / math::max(ceiling_, kLeastCeiling));
    recent_at_ = recent_at_ + 1 == kSmooth ? 0 : recent_at_ + 1;
    float sum = 0.0f;
    for (float v : recent_) sum += v;
    return sum / kSmooth;
}

void ActivityGate::begin() { shut(); }

void ActivityGate::shut() {
    quiet_hops_ = kHoldHops;
    open_ = false;
}

bool ActivityGate::update(float mean_abs) {
    if (mean_abs > kOn || (open_ && mean_abs >= kOff)) {
        open_ = true;
        quiet_hops_ = 0;
    } else if (quiet_hops_ < kHoldHops) {
        ++quiet_hops_;
    } else {
        open_ = false;
    }
    return open_;
}

float ActivityGate::silence_level() const { return static_cast<float>(quiet_hops_) / kHoldHops; }

}  // namespace k1
