// Note and beat starts: rectified spectral flux against an adaptive threshold.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/audio.h"

namespace k1 {

class OnsetDetector {
  public:
    void begin();
    // One audio frame: amplitudes (full scale 1.0) of kBins bins. Updates flux(). Returns the strength of an onset that
    // starts here, 0 when there is none.
    float update(const float* amplitude);
    // Rise of log2(1 + 16 a / loudest lately) within two frames, mean over bins.
    float flux() const { return flux_; }
    // No sound: forgets the past spectrum, lets the threshold settle.
    void silence();

  private:
    static constexpr size_t kLag = 2;                    // frames the rise is taken over: 10 ms
    static constexpr uint32_t kRefractoryFrames = 18;    // 90 ms
    static constexpr float kLeastFlux = 0.20f;           // a steady low tone beats with the short windows at up to 0.12
    float past_[kLag][kBins];
    size_t past_at_;
    float loudest_;                                      // follows the loudest bin: 50 ms up, 2 s down
    float flux_, mean_, deviation_;
    uint32_t since_;
};

}  // namespace k1
