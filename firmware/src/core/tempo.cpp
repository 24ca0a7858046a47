#include "core/tempo.h"

#include <cstring>

#include "core/math.h"

namespace k1 {

namespace {

constexpr float kNoveltyHz = 50.0f;
constexpr float kFrameS = 0.005f;
constexpr float kMostNovelty = 24.0f;      // times the average: one loud event must not own the whole history
constexpr float kLeastAverage = 0.05f;     // novelty of a steady sound stays below this
constexpr float kAcfForget = 0.0033f;      // per novelty value: 6 s
constexpr float kAverageForget = 0.01f;    // 2 s
constexpr float kNoiseRepetition = 0.15f;  // autocorrelation that novelty without a beat reaches by chance
constexpr float kFullRepetition = 0.50f;
constexpr float kLatencyBeats = 0.018f;    // seconds from a sound to its novelty value (hop, flux lag, half a value)

struct Pair {
    float s1, s2, coeff;
};

inline __attribute__((always_inline)) void feed(Pair& b, float x) {
    const float s0 = (x - b.s2) + b.coeff * b.s1;
    b.s2 = b.s1;
    b.s1 = s0;
}

// One windowed value into four bins; returns its size.
inline __attribute__((always_inline)) float feed4(Pair& a, Pair& b, Pair& c, Pair& d, float x) {
    feed(a, x);
    feed(b, x);
    feed(c, x);
    feed(d, x);
    return math::abs(x);
}

}  // namespace

float tempo_bin_bpm(size_t i) { return 50.0f + static_cast<float>(i) * (100.0f / kTempi); }

void TempoTracker::begin() {
    std::memset(static_cast<void*>(this), 0, sizeof *this);   // all members are plain numbers
    for (size_t i = 0; i < kTempi; ++i) {
        const float bpm = tempo_bin_bpm(i);
        const float turns = bpm / (60.0f * kNoveltyHz);
        const float octaves = math::log2(bpm / 110.0f);
        bins_[i].coeff = 2.0f * math::cos_turns(turns);
        bins_[i].sine = math::sin_turns(turns);
        bins_[i].prior = math::exp(-0.6f * octaves * octaves);
    }
    // Newest samples count fully, the oldest hardly: half a Hann window.
    for (size_t k = 0; k < kHistory; ++k)
        window_[k] = math::sq(math::sin_turns(0.25f * (static_cast<float>(k) + 1.0f) / kHistory));
}

void TempoTracker::update(float novelty, bool sound) {
    pending_ += novelty;
    if (++frame_ == kFramesPerNovelty) {
        take_novelty(pending_, sound);
        pending_ = 0.0f;
        frame_ = 0;
    }
    beat_ = false;
    if (bpm_ > 0.0f) {
        phase_ += kFrameS * bpm_ / 60.0f;
        beat_ = phase_ >= 1.0f;
        phase_ -= beat_ ? 1.0f : 0.0f;
    }
    if ((frame_ & 1u) != 0) return;
    refresh_bins(next_bin_);
    next_bin_ += 4;
    if (next_bin_ == kTempi) {
        next_bin_ = 0;
        choose();
    }
}

void TempoTracker::take_novelty(float x, bool sound) {
    float value = 0.0f;
    if (sound) {
        average_ += (x - average_) * kAverageForget;
        value = math::min(x / math::max(average_, kLeastAverage), kMostNovelty) - 1.0f;
    }
    const float dt_s = 1.0f / kNoveltyHz;
    heard_s_ = sound ? math::min(heard_s_ + dt_s, 20.0f) : math::max(heard_s_ - 2.0f * dt_s, 0.0f);
    history_[write_] = history_[write_ + kHistory] = value;
    write_ = (write_ + 1) % kHistory;
    correlate(value);

    // Confidence follows how well the chosen beat repeats, and dies away with the sound.
    const float repeats = bpm_ > 0.0f ? repetition(60.0f * kNoveltyHz / bpm_) : 0.0f;
    const float sure = math::clamp01((repeats - kNoiseRepetition) / (kFullRepetition - kNoiseRepetition));
    const float target = sound ? sure * math::min(heard_s_ / 6.0f, 1.0f) : 0.0f;
    confidence_ += (target - confidence_) * 0.04f;     // 0.5 s
    if (!sound && confidence_ < 0.02f) {
        confidence_ = bpm_ = phase_ = 0.0f;
        locked_ = false;
    }
}

void TempoTracker::correlate(float x) {
    // Smoothed over three values, so that a period between two whole lags does not fall through.
    const float smooth = 0.25f * (x + previous_[1]) + 0.5f * previous_[0];
    previous_[1] = previous_[0];
    previous_[0] = x;
    std::memmove(recent_ + 1, recent_, (kLags - 1) * sizeof(float));
    recent_[0] = smooth;
    for (size_t k = 0; k < kLags; ++k) {
        acf_[k] = math::settle(acf_[k] * (1.0f - kAcfForget) + smooth * recent_[k]);
    }
    float sum = 0.0f;
    for (size_t k = kFirstLag; k < kLags; ++k) sum += acf_[k];
    acf_mean_ = sum / (kLags - kFirstLag);
}

float TempoTracker::repetition(float lag) const {
    const size_t k = static_cast<size_t>(lag);
    if (k + 1 >= kLags || acf_[0] <= 1e-3f) return 0.0f;
    // Against the mean over all beat periods: slow swells of loudness lift every lag alike and are no beat.
    return (math::lerp(acf_[k], acf_[k + 1], lag - static_cast<float>(k)) - acf_mean_) / acf_[0];
}

void TempoTracker::refresh_bins(size_t first) {
    const float* x = history_ + write_;                // oldest of kHistory values
    Bin* b = bins_ + first;
    const float* w = window_;
    Pair p = {0.0f, 0.0f, b[0].coeff}, q = {0.0f, 0.0f, b[1].coeff};
    Pair r = {0.0f, 0.0f, b[2].coeff}, t = {0.0f, 0.0f, b[3].coeff};
    float total = 0.0f;
    for (size_t n = 0; n < kHistory; n += 4) {         // unrolled by hand, as the big bank
        total += feed4(p, q, r, t, x[n] * w[n]);
        total += feed4(p, q, r, t, x[n + 1] * w[n + 1]);
        total += feed4(p, q, r, t, x[n + 2] * w[n + 2]);
        total += feed4(p, q, r, t, x[n + 3] * w[n + 3]);
    }
    const Pair out[4] = {p, q, r, t};
    for (size_t k = 0; k < 4; ++k) {
        // Referred to the newest value: the phase is what has passed since the last beat.
        const float re = out[k].s1 - 0.5f * b[k].coeff * out[k].s2, im = b[k].sine * out[k].s2;
        b[k].raw = math::sqrt(re * re + im * im);
        phase_rad_[first + k] = math::atan2(im, re);
        const float share = total > 1e-3f ? math::min(b[k].raw / total, 1.0f) : 0.0f;
        strength_[first + k] = share * math::clamp01(repetition(60.0f * kNoveltyHz / tempo_bin_bpm(first + k)));
        // Which bin is best decides itself on all of them, but its phase is followed as soon as it is known.
        if (locked_ && first + k == best_) follow_phase(phase_rad_[first + k] * (1.0f / math::kTwoPi));
    }
}

void TempoTracker::choose() {
    size_t top = 0;
    float top_score = 0.0f;
    for (size_t i = 0; i < kTempi; ++i) {
        const float score = strength_[i] * bins_[i].prior;
        if (score > top_score) {
            top_score = score;
            top = i;
        }
    }
    if (!(top_score > 0.01f)) return;                  // nothing beats: keep the last tempo while confidence falls
    const bool near = locked_ && (top > best_ ? top - best_ : best_ - top) <= 6;
    const bool better = !locked_ || near || top_score > 1.2f * strength_[best_] * bins_[best_].prior;
    if (!better) return;
    best_ = top;
    // Peak between bins: parabola through the three strongest.
    float offset = 0.0f;
    if (top > 0 && top + 1 < kTempi) {
        const float l = bins_[top - 1].raw, m = bins_[top].raw, r = bins_[top + 1].raw;
        const float curve = l - 2.0f * m + r;
        if (curve < -1e-6f) offset = math::clamp(0.5f * (l - r) / curve, -0.5f, 0.5f);
    }
    bpm_ = tempo_bin_bpm(top) + offset * (100.0f / kTempi);
    if (!near) {
        locked_ = true;
        phase_ = math::fract(phase_rad_[top] * (1.0f / math::kTwoPi) + kLatencyBeats * bpm_ / 60.0f);
    }
}

void TempoTracker::follow_phase(float measured) {
    const float now = measured + (kLatencyBeats + kFrameS * static_cast<float>(frame_)) * bpm_ / 60.0f;
    const float error = math::fract(now - phase_ + 0.5f) - 0.5f;
    phase_ += 0.3f * error;                            // a step back over a beat repeats it: the refractory time covers that
    if (phase_ < 0.0f) phase_ += 1.0f;
}

}  // namespace k1
