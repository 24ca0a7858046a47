// Loudness relative to the recent past, and the gate that tells sound from silence.
#pragma once
#include <cstddef>
#include <cstdint>

namespace k1 {

// Peak level above a floor that follows the quietest quarter second of the last 5 s, scaled by a slow peak follower.
class PeakVu {
  public:
    void begin();
    // One hop: largest |x| (full scale 1.0), share of the quiet level taken as floor (vu_floor_pct). Returns 0..1.
    float update(float peak, float floor_share);

  private:
    static constexpr size_t kLog = 20;             // entries of 250 ms
    static constexpr uint32_t kHopsPerEntry = 50;
    static constexpr size_t kSmooth = 12;          // hops of the final moving mean
    float log_[kLog];
    float entry_sum_;
    uint32_t entry_hops_;
    size_t log_at_;
    float ceiling_;
    float recent_[kSmooth];
    size_t recent_at_;
};

// Opens at once above 0.0030 mean |x|, closes after 1.5 s below 0.0015: longer than the beat at 50 BPM, so that the
// gaps of a slow click track do not count as silence.
class ActivityGate {
  public:
    void begin();
    // One hop. True while open.
    bool update(float mean_abs);
    bool open() const { return open_; }
    // 0 while there is sound, rises to 1 over the 1.5 s before the gate closes.
    float silence_level() const;
    void shut();

  private:
    static constexpr float kOn = 0.0030f, kOff = 0.0015f;
    static constexpr uint32_t kHoldHops = 300;
    uint32_t quiet_hops_;
    bool open_;
};

}  // namespace k1
