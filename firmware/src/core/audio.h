// What the audio task knows, as one consistent copy for the render task and the API.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/params.h"
#include "hal/task.h"

namespace k1 {

constexpr uint32_t kSampleRateHz = 12800;
constexpr size_t kHop = 64;         // samples per audio frame: 5.0 ms
constexpr size_t kBins = 64;        // semitone bins from 77.78 Hz
constexpr size_t kChroma = 12;
constexpr size_t kTempi = 192;      // 50 + i x 0.5208 BPM

struct AudioSnapshot {
    float spectrum[kBins];          // auto-ranged, 2-frame mean, 0..1
    float spectrum_smooth[kBins];   // mean of the last 12 frames
    float chroma[kChroma];          // spectrum folded i mod 12 (index 0 is D#)
    float vu;                       // mean level x sensitivity, 0..1
    float vu_raw;                   // before sensitivity
    float onset;                    // strength of the newest onset, decays
    float tempo_bpm;                // best tempo, 0 when none
    float tempo_confidence;         // 0..1
    float beat_phase;               // 0..1 within the beat at tempo_bpm
    float silence_level;            // 0..1
    float hop_level;                // mean |x| of the newest 64 samples, 0..1, no smoothing
    bool silent;                    // activity gate closed
    bool valid;                     // false before the first frame and while audio is switched off
    uint32_t updates;               // audio frames so far
    uint32_t beats;                 // beat events so far
    uint32_t onsets;                // onset events so far
    uint64_t t_us;                  // device time of the newest sample in it
};

struct TempoBin { uint16_t index; float bpm, magnitude, phase; };

struct AudioEvent {                 // beat or onset
    enum class Kind : uint8_t { beat, onset } kind;
    uint64_t t_us;
    float bpm;                      // beats only
    float value;                    // confidence or strength
};

// The audio front end: one instance, run by the audio task.
class AudioFrontEnd {
  public:
    void begin();
    // One hop of raw I2S words whose last sample was taken at t_us. Publishes a new snapshot.
    void process(const int32_t* words, size_t n, uint64_t t_us, const Params& p);
    // The microphone gave nothing: silence is published, the counter stands still.
    void dropout();

    AudioSnapshot snapshot() const;              // any task, whole copy
    size_t top_tempi(TempoBin* out, size_t n) const;
    // Oldest event not yet taken; false when none. One reader (the telemetry task).
    bool next_event(AudioEvent* out);
    // Events waiting, places for them, and events that found none since begin().
    struct EventQueue { uint32_t depth, capacity, lost; };
    EventQueue event_queue() const;

    // Contract settings, any task.
    float gain() const;                          // microphone_gain 0.5-2.0
    void set_gain(float g);
    float vu_floor() const;                      // vu_floor_pct 0.5-0.98
    void set_vu_floor(float v);
    bool active() const;
    void set_active(bool on);
    void calibrate_noise(uint32_t frames);
};

AudioFrontEnd& audio();

}  // namespace k1
