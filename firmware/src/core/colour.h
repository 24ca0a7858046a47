// From a pattern's colours to the bytes of the strip.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/params.h"
#include "core/pattern.h"

namespace k1 {

// Linear up to 0.75, then a smooth shoulder that never passes 1.0: 0.75 + 0.25 tanh(4 (v - 0.75)).
float soft_clip(float v);

// Order: image low-pass (softness), soft clip, warmth and white balance, brightness, gamma 2.0, quantising with optional
// temporal dither, rotation by led_offset. A settled pixel with dithering off is therefore
//     floor(255 x (soft_clip(v) x warmth_c x white_balance_c x (0.3 + 0.7 brightness))^2)
// so white is E1C69F at brightness 1 and 14110E at brightness 0.
class ColourPipeline {
  public:
    void begin();
    // kLeds colours (0..1 nominal; beyond is clipped softly, below 0 and NaN count as 0) to kLeds x 3 bytes RGB.
    // `dt_s` is the time since the last call.
    void process(const Rgb* in, uint8_t* out, const Params& p, float dt_s);

  private:
    Rgb smooth_[kLeds];
    float error_[kLeds * 3];   // dither: light owed to each channel, in steps of 1/255
};

}  // namespace k1
