// Whether the tempo is settled: watched over time by the supervisor, told by /api/audio/tempo.
#pragma once
#include <cstddef>
#include <cstdint>

#include "hal/task.h"

namespace k1 {

struct TempoLockState {
    bool locked;
    float bpm;                 // of the lock, 0 when unlocked
    float stability;           // share of the last looks whose tempo lay within 2 BPM of the newest
    uint64_t since_us;         // clock_us() of the last change
};

// Locks at a confidence of 0.65 and lets go below 0.40 (K1's lock and reject limits).
class TempoLock {
  public:
    static constexpr float kLockAt = 0.65f;
    static constexpr float kLetGoBelow = 0.40f;
    static constexpr float kNearBpm = 2.0f;
    static constexpr size_t kLooks = 16;

    void look(uint64_t now_us, float bpm, float confidence);
    TempoLockState state() const;

  private:
    float stability(float bpm) const;

    mutable hal::SpinLock lock_;
    TempoLockState state_ = {};
    float looks_[kLooks] = {};
    size_t count_ = 0;
};

TempoLock& tempo_lock();

}  // namespace k1
