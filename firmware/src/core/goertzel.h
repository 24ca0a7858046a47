// The 64-bin semitone Goertzel bank: the front end's one big cost, 23,916 window samples per audio frame.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/audio.h"

namespace k1 {

// Nominal centre of a bin in Hz: 77.78 x 2^(i/12), 77.78 (D#2) to 2960 Hz. The bank resonates exactly there; it does not
// round to a whole number of periods per block, so the strongest bin of a tone is the nominal one.
float bin_frequency_hz(size_t i);

// Samples a bin looks at: the newest rate / (2 x distance to the next semitone), rounded down to a multiple of 4.
// 1380 (107.8 ms) at bin 0, 36 (2.8 ms) at bin 63.
size_t bin_block(size_t i);

class GoertzelBank {
  public:
    static constexpr size_t kLongest = 1380;

    // Fills the tables. Call once before the rest.
    void begin();
    // Takes kHop samples (full scale 1.0) into the history.
    void push(const float* samples);
    // Weighted magnitudes of all bins over the newest samples: amplitude of a sine at the bin's centre times
    // sqrt(0.995 (i/64)^4 + 0.005). Unweighted when `weighted` is false.
    void run(float* magnitude, bool weighted = true) const;
    float weight(size_t i) const { return bins_[i].weight; }
    // Oldest-to-newest view of the newest `n` <= kLongest samples; contiguous.
    const float* newest(size_t n) const { return history_ + write_ + kRing - n; }

  private:
    static constexpr size_t kRing = 1408;      // 22 hops, >= kLongest
    static constexpr size_t kWindow = 1024;    // entries of the shared window, a Gaussian of sigma 0.8 half-lengths

    struct Bin {
        float coeff;       // 2 cos w
        uint32_t step;     // 2^32 / block: advance through the window per sample
        float scale;       // magnitude -> amplitude
        float weight;
        uint16_t block;
    };

    Bin bins_[kBins];
    float window_[kWindow];
    float history_[2 * kRing];  // every sample is stored twice, kRing apart, so any run of kRing samples is contiguous
    size_t write_ = 0;          // next place to write in the first half; the newest kRing samples start here
};

}  // namespace k1
