// A pattern: a function from (time, parameters, audio) to 160 colours.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/audio.h"
#include "core/params.h"

namespace k1 {

constexpr size_t kLeds = 160;       // per strip; both strips show the same
constexpr size_t kCentre = 79;      // mirror: i <-> 159 - i

struct Rgb { float r, g, b; };

struct FrameContext {
    Rgb* leds;                      // kLeds, holds the previous frame's pattern output (before the colour pipeline)
    uint8_t* raw;                   // kLeds x 3 bytes: written instead of `leds` by patterns marked raw
    double t_s;                     // pattern time, seconds since boot
    float dt_s;                     // since the previous frame
    uint32_t seq;                   // frame number
    const Params& p;
    const AudioSnapshot& audio;
};

struct Pattern {
    const char* id;
    const char* name;
    const char* description;
    bool audio_reactive;
    bool raw;                       // writes the bytes of the strip itself: no smoothing, gamma, white balance or dither
    void (*start)();                // on selection; may be nullptr
    void (*render)(FrameContext& f);
};

extern const Pattern kPatterns[];
extern const size_t kPatternCount;
constexpr uint8_t kBootPattern = 3;

int pattern_find(const char* id);   // -1 when unknown

}  // namespace k1
