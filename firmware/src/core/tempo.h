// Tempo and beat phase from the novelty of the last 20 s.
//
// Novelty at 50 Hz (one value per four audio frames, 1024 kept) is looked at in two ways: a Goertzel bank of 192 tempi
// says how strongly each beat frequency is present, with phase; an autocorrelation says how well the novelty repeats
// after each beat period. A pulse train shows in the first at its tempo and multiples of it, in the second at its tempo
// and fractions, so their product keeps the tempo itself (after G. Peeters, "Template-based estimation of time-varying
// tempo", 2007). A weak preference for 110 BPM settles what remains.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/audio.h"

namespace k1 {

float tempo_bin_bpm(size_t i);   // 50 + i x 100/192

class TempoTracker {
  public:
    void begin();
    // One audio frame (5 ms): novelty >= 0 in any fixed unit, whether the activity gate is open.
    // Does one slice of the work: each tempo bin is fresh every 0.48 s.
    void update(float novelty, bool sound);

    float bpm() const { return bpm_; }                 // 0 when there is none
    float confidence() const { return confidence_; }   // 0..1
    float phase() const { return phase_; }             // 0..1, 0 on the beat
    bool beat() const { return beat_; }                // the phase passed 0 in the last update()

    // Strength 0..1 of a tempo: share of the novelty that beats there x its repetition. Phase in radians.
    const float* magnitudes() const { return strength_; }
    const float* phases_rad() const { return phase_rad_; }

  private:
    static constexpr size_t kHistory = 1024;
    static constexpr uint32_t kFramesPerNovelty = 4;
    static constexpr size_t kLags = 64;                // 20 ms each; 60 is 50 BPM
    static constexpr size_t kFirstLag = 20;            // 150 BPM

    struct Bin { float coeff, sine, prior, raw; };

    void take_novelty(float x, bool sound);
    void correlate(float x);
    float repetition(float lag) const;                 // autocorrelation at a fractional lag, relative to lag 0
    void refresh_bins(size_t first);                   // four of them
    void choose();
    void follow_phase(float measured);

    Bin bins_[kTempi];
    float strength_[kTempi], phase_rad_[kTempi];
    float window_[kHistory];                           // oldest first
    float history_[2 * kHistory];                      // doubled ring, as in the Goertzel bank
    size_t write_;
    float pending_;
    uint32_t frame_;                                   // 0..3 within a novelty value
    size_t next_bin_;
    float average_;                                    // of novelty while there is sound
    float recent_[kLags + 2];                          // newest first, smoothed novelty
    float previous_[2];
    float acf_[kLags], acf_mean_;
    float heard_s_;                                    // seconds of sound in memory, at most 20
    size_t best_;
    float bpm_, confidence_, phase_;
    bool beat_, locked_;
};

}  // namespace k1
