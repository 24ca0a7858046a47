// The audio task's work on one hop: samples, spectrum, levels, onsets, tempo, and the snapshot others read.
#include "core/audio.h"

#include <atomic>
#include <cstring>

#include "core/goertzel.h"
#include "core/math.h"
#include "core/onset.h"
#include "core/tempo.h"
#include "core/vu.h"

namespace k1 {

namespace {

constexpr size_t kSmoothFrames = 12;
constexpr float kHopS = 0.005f;
constexpr float kRangeFloor = 0.0025f;     // weighted magnitude that still counts as full scale: below it, quiet looks quiet
constexpr float kRangeAttack = 0.10f;      // per frame: 50 ms up,
constexpr float kRangeRelease = 0.005f;    // 1 s down
constexpr float kQ = 65535.0f;             // fixed-point scale of the moving mean

// Everything only the audio task touches.
struct Engine {
    GoertzelBank bank;
    PeakVu peak_vu;
    ActivityGate gate;
    OnsetDetector onset;
    TempoTracker tempo;
    float dc_x, dc_y;                              // high-pass state
    bool dc_started;
    float unweight[kBins];                         // takes the bank's weight off again
    float previous[kBins];                         // magnitudes of the frame before
    float noise[kBins];                            // calibrated noise magnitudes
    float noise_sum[kBins];
    uint32_t noise_frames, noise_wanted;
    float range;                                   // magnitude shown as 1.0
    float presence;                                // 1 with sound, falls to 0 after the gate has closed
    uint16_t ring[kSmoothFrames][kBins];           // spectrum x kQ: whole numbers, so the running sum never drifts
    uint32_t ring_sum[kBins];
    size_t ring_at;
    float peak_vu_before;
    float onset_level;
    uint32_t beat_age_frames;                      // since the last beat event
    AudioSnapshot work;                            // being built
};

Engine engine;

// Shared with other tasks.
hal::SpinLock lock;                                // guards the next five
AudioSnapshot published;
float tempo_strength[kTempi], tempo_phase[kTempi];
constexpr uint32_t kEvents = 32;
AudioEvent events[kEvents];                        // ring; when full the newest is dropped
uint32_t events_in, events_out, events_lost;

std::atomic<float> mic_gain{1.0f};
std::atomic<float> floor_share{0.90f};
std::atomic<bool> switched_on{true};
std::atomic<uint32_t> calibration_request{0};

AudioFrontEnd front_end;

void post(AudioEvent::Kind kind, uint64_t t_us, float bpm, float value) {
    hal::SpinGuard guard(lock);
    if (events_in - events_out == kEvents) ++events_lost;
    else events[events_in++ % kEvents] = {kind, t_us, bpm, value};
}

void publish(const AudioSnapshot& s) {
    hal::SpinGuard guard(lock);
    std::memcpy(&published, &s, sizeof s);
}

// I2S words to samples (18 bits, left-justified; full scale 1.0), without the microphone's offset: one-pole high-pass
// at 10 Hz. Returns the mean |x|, gives the largest.
float convert(const int32_t* words, float* samples, float* peak) {
    constexpr float kScale = 1.0f / 131072.0f;
    constexpr float kPole = 0.9951f;               // 1 - 2 pi 10 Hz / 12800 Hz
    Engine& e = engine;
    if (!e.dc_started) {                           // start on the offset instead of stepping onto it
        e.dc_x = static_cast<float>(words[0] >> 14) * kScale;
        e.dc_started = true;
    }
    float x = e.dc_x, y = e.dc_y, sum = 0.0f, top = 0.0f;
    for (size_t i = 0; i < kHop; ++i) {
        const float now = static_cast<float>(words[i] >> 14) * kScale;
        y = (now - x) + kPole * y;
        x = now;
        samples[i] = y;
        const float size = math::abs(y);
        sum += size;
        top = math::max(top, size);
    }
    e.dc_x = x;
    e.dc_y = math::settle(y);
    *peak = top;
    return sum / kHop;
}

void calibrate(const float* magnitude) {
    Engine& e = engine;
    const uint32_t wanted = calibration_request.load(std::memory_order_relaxed);
    if (wanted != 0) {
        calibration_request.store(0, std::memory_order_relaxed);
        e.noise_wanted = wanted;
        e.noise_frames = 0;
        std::memset(e.noise_sum, 0, sizeof e.noise_sum);
    }
    if (e.noise_wanted == 0) return;
    for (size_t i = 0; i < kBins; ++i) e.noise_sum[i] += magnitude[i];
    if (++e.noise_frames < e.noise_wanted) return;
    for (size_t i = 0; i < kBins; ++i) e.noise[i] = 1.5f * e.noise_sum[i] / static_cast<float>(e.noise_wanted);
    e.noise_wanted = 0;
}

// Loudest bin lately, followed quickly upwards and slowly downwards; rests in silence.
void follow_range(float loudest, bool sound) {
    Engine& e = engine;
    if (!sound) return;
    const float target = math::max(loudest, kRangeFloor);
    e.range += (target - e.range) * (target > e.range ? kRangeAttack : kRangeRelease);
}

// Magnitudes to the published spectrum, its 12-frame mean, the chroma and the mean level.
void fill_spectrum(float* magnitude, const Params& p) {
    Engine& e = engine;
    AudioSnapshot& s = e.work;
    const float gain = mic_gain.load(std::memory_order_relaxed) * e.presence / e.range;
    const float slope = 2.0f * p.bass_treble_balance / (kBins - 1);
    float tilt = 1.0f - p.bass_treble_balance, level = 0.0f;
    uint16_t* oldest = e.ring[e.ring_at];
    e.ring_at = e.ring_at + 1 == kSmoothFrames ? 0 : e.ring_at + 1;
    for (size_t i = 0; i < kBins; ++i) {
        const float v = math::clamp01(0.5f * (magnitude[i] + e.previous[i]) * gain);
        e.previous[i] = magnitude[i];
        s.spectrum[i] = v;
        const uint32_t q = static_cast<uint32_t>(v * kQ);
        e.ring_sum[i] += q - oldest[i];
        oldest[i] = static_cast<uint16_t>(q);
        s.spectrum_smooth[i] = static_cast<float>(e.ring_sum[i]) * (1.0f / (kQ * kSmoothFrames));
        level += s.spectrum_smooth[i] * tilt;
        tilt += slope;
    }
    for (size_t c = 0; c < kChroma; ++c) {         // five octaves: bins 0-59
        const float* b = s.spectrum + c;
        s.chroma[c] = 0.2f * (b[0] + b[12] + b[24] + b[36] + b[48]);
    }
    s.vu_raw = math::clamp01(level / kBins);
    s.vu = math::clamp01(s.vu_raw * p.audio_sensitivity);
}

void find_onsets(const float* magnitude, float peak, bool sound, uint64_t t_us) {
    Engine& e = engine;
    AudioSnapshot& s = e.work;
    const float vu = e.peak_vu.update(peak, floor_share.load(std::memory_order_relaxed));
    float strength = 0.0f;
    if (sound) {
        float amplitude[kBins];
        for (size_t i = 0; i < kBins; ++i) amplitude[i] = magnitude[i] * e.unweight[i];
        strength = e.onset.update(amplitude);
    } else {
        e.onset.silence();
    }
    e.onset_level *= 0.96f;                        // per frame: 120 ms
    if (strength > 0.0f) {
        e.onset_level = math::max(e.onset_level, strength);
        ++s.onsets;
        post(AudioEvent::Kind::onset, t_us, 0.0f, strength);
    }
    s.onset = e.onset_level < 1e-3f ? 0.0f : e.onset_level;
    e.tempo.update(e.onset.flux() + 0.5f * math::max(vu - e.peak_vu_before, 0.0f), sound);
    e.peak_vu_before = vu;
}

// A beat is reported when the phase passes zero, there is sound, the tempo is sure enough, and the last one is long past.
void find_beats(const Params& p, bool sound, uint64_t t_us) {
    Engine& e = engine;
    AudioSnapshot& s = e.work;
    const bool known = e.tempo.confidence() > 0.02f;
    s.tempo_bpm = known ? e.tempo.bpm() : 0.0f;
    s.tempo_confidence = known ? e.tempo.confidence() : 0.0f;
    s.beat_phase = known ? e.tempo.phase() : 0.0f;
    if (e.beat_age_frames < 0xFFFFFFFFu) ++e.beat_age_frames;
    if (!e.tempo.beat() || !sound || s.tempo_confidence <= p.beat_threshold + 0.10f) return;
    const float least_s = math::max(0.200f, 0.6f * 60.0f / s.tempo_bpm);
    if (static_cast<float>(e.beat_age_frames) * kHopS < least_s) return;
    e.beat_age_frames = 0;
    ++s.beats;
    post(AudioEvent::Kind::beat, t_us, s.tempo_bpm, s.tempo_confidence);
}

void share_tempi() {
    hal::SpinGuard guard(lock);
    std::memcpy(tempo_strength, engine.tempo.magnitudes(), sizeof tempo_strength);
    std::memcpy(tempo_phase, engine.tempo.phases_rad(), sizeof tempo_phase);
}

void silence_snapshot(AudioSnapshot& s) {
    std::memset(s.spectrum, 0, sizeof s.spectrum);
    std::memset(s.spectrum_smooth, 0, sizeof s.spectrum_smooth);
    std::memset(s.chroma, 0, sizeof s.chroma);
    s.vu = s.vu_raw = s.onset = s.tempo_bpm = s.tempo_confidence = s.beat_phase = s.hop_level = 0.0f;
    s.silence_level = 1.0f;
    s.silent = true;
}

}  // namespace

AudioFrontEnd& audio() { return front_end; }

void AudioFrontEnd::begin() {
    Engine& e = engine;
    std::memset(static_cast<void*>(&e), 0, sizeof e);
    e.bank.begin();
    e.peak_vu.begin();
    e.gate.begin();
    e.onset.begin();
    e.tempo.begin();
    e.range = kRangeFloor;
    for (size_t i = 0; i < kBins; ++i) e.unweight[i] = 1.0f / e.bank.weight(i);
    silence_snapshot(e.work);
    publish(e.work);
    share_tempi();
    hal::SpinGuard guard(lock);
    events_in = events_out = events_lost = 0;
}

void AudioFrontEnd::process(const int32_t* words, size_t n, uint64_t t_us, const Params& p) {
    Engine& e = engine;
    AudioSnapshot& s = e.work;
    if (n != kHop) return;
    s.t_us = t_us;
    ++s.updates;
    if (!active()) {
        silence_snapshot(s);
        s.valid = false;
        publish(s);
        return;
    }
    float samples[kHop], magnitude[kBins], peak;
    const float mean_abs = convert(words, samples, &peak);
    const bool sound = e.gate.update(mean_abs);
    e.presence = sound ? 1.0f : (e.presence < 1e-3f ? 0.0f : e.presence * 0.95f);
    e.bank.push(samples);
    e.bank.run(magnitude);
    calibrate(magnitude);
    float loudest = 0.0f;
    for (size_t i = 0; i < kBins; ++i) {
        magnitude[i] = math::max(magnitude[i] - e.noise[i], 0.0f);
        loudest = math::max(loudest, magnitude[i]);
    }
    follow_range(loudest, sound);
    find_onsets(magnitude, peak, sound, t_us);
    fill_spectrum(magnitude, p);
    find_beats(p, sound, t_us);
    s.hop_level = mean_abs;
    s.silent = !sound;
    s.silence_level = e.gate.silence_level();
    s.valid = true;
    publish(s);
    if (s.updates % 4 == 0) share_tempi();
}

void AudioFrontEnd::dropout() {
    Engine& e = engine;
    e.gate.shut();
    e.presence = 0.0f;
    e.dc_started = false;
    e.dc_y = 0.0f;
    silence_snapshot(e.work);
    publish(e.work);
}

AudioSnapshot AudioFrontEnd::snapshot() const {
    AudioSnapshot s;
    hal::SpinGuard guard(lock);
    std::memcpy(&s, &published, sizeof s);
    return s;
}

size_t AudioFrontEnd::top_tempi(TempoBin* out, size_t n) const {
    float strength[kTempi], phase[kTempi];
    {
        hal::SpinGuard guard(lock);
        std::memcpy(strength, tempo_strength, sizeof strength);
        std::memcpy(phase, tempo_phase, sizeof phase);
    }
    size_t count = 0;
    for (; count < n && count < kTempi; ++count) {
        size_t top = 0;
        for (size_t i = 1; i < kTempi; ++i)
            if (strength[i] > strength[top]) top = i;
        out[count] = {static_cast<uint16_t>(top), tempo_bin_bpm(top), math::max(strength[top], 0.0f), phase[top]};
        strength[top] = -1.0f;
    }
    return count;
}

bool AudioFrontEnd::next_event(AudioEvent* out) {
    hal::SpinGuard guard(lock);
    if (events_in == events_out) return false;
    *out = events[events_out++ % kEvents];
    return true;
}

AudioFrontEnd::EventQueue AudioFrontEnd::event_queue() const {
    hal::SpinGuard guard(lock);
    return {events_in - events_out, kEvents, events_lost};
}

float AudioFrontEnd::gain() const { return mic_gain.load(std::memory_order_relaxed); }
void AudioFrontEnd::set_gain(float g) { mic_gain.store(math::clamp(g, 0.5f, 2.0f), std::memory_order_relaxed); }
float AudioFrontEnd::vu_floor() const { return floor_share.load(std::memory_order_relaxed); }
void AudioFrontEnd::set_vu_floor(float v) { floor_share.store(math::clamp(v, 0.5f, 0.98f), std::memory_order_relaxed); }
bool AudioFrontEnd::active() const { return switched_on.load(std::memory_order_relaxed); }
void AudioFrontEnd::set_active(bool on) { switched_on.store(on, std::memory_order_relaxed); }
void AudioFrontEnd::calibrate_noise(uint32_t frames) { calibration_request.store(frames, std::memory_order_relaxed); }

}  // namespace k1
