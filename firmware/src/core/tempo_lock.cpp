#include "core/tempo_lock.h"

#include "core/math.h"

namespace k1 {
namespace {

TempoLock the_lock;

}  // namespace

TempoLock& tempo_lock() { return the_lock; }

float TempoLock::stability(float bpm) const {
    const size_t n = count_ < kLooks ? count_ : kLooks;
    size_t near = 0;
    for (size_t i = 0; i < n; ++i)
        if (math::abs(looks_[i] - bpm) <= kNearBpm) ++near;
    return n == 0 ? 0.0f : static_cast<float>(near) / static_cast<float>(n);
}

void TempoLock::look(uint64_t now_us, float bpm, float confidence) {
    looks_[count_++ % kLooks] = bpm;
    TempoLockState next = state_;    // only this task writes it
    next.stability = bpm > 0.0f ? stability(bpm) : 0.0f;
    const bool locked = bpm > 0.0f && (state_.locked ? confidence >= kLetGoBelow : confidence >= kLockAt);
    if (locked != state_.locked || count_ == 1) next.since_us = now_us;
    next.locked = locked;
    next.bpm = locked ? bpm : 0.0f;
    hal::SpinGuard guard(lock_);
    state_ = next;
}

TempoLockState TempoLock::state() const {
    hal::SpinGuard guard(lock_);
    return state_;
}

}  // namespace k1
