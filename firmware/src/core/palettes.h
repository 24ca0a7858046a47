// Colours: hue to RGB, gradients, the palettes, and the one rule by which patterns take their colour from the parameters.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/params.h"
#include "core/pattern.h"

namespace k1 {

inline Rgb scaled(Rgb c, float k) { return {c.r * k, c.g * k, c.b * k}; }
inline Rgb mixed(Rgb a, Rgb b, float t) { return {a.r + (b.r - a.r) * t, a.g + (b.g - a.g) * t, a.b + (b.b - a.b) * t}; }

// Hue in turns (any value), saturation 0..1, full value.
Rgb hue_colour(float hue, float saturation);

// A gradient: keys with rising positions 0..1 and colours 0xRRGGBB.
struct GradientKey {
    float at;
    uint32_t rgb;
};
Rgb gradient(const GradientKey* keys, size_t n, float at);

constexpr size_t kPaletteCount = 33;
const char* palette_name(size_t id);

// Colour of palette `id` at 0..1 (wraps). Palette 0 has no colours of its own: it means `color` and `color_range`.
Rgb palette_colour(size_t id, float at);

// What a pattern paints at place `at` (0..1 within its figure), `shift` turns further along when audio moves the colour.
// Palette 0: hue `color` + `color_range` x at. Others: the palette, its start moved by `color` (default 0.33: not at all).
// `saturation` applies to both (0.75 leaves palettes as they are, 0 is white).
class Tint {
  public:
    explicit Tint(const Params& p);
    Rgb at(float at, float shift = 0.0f) const;

  private:
    float base_, range_, saturation_;
    size_t palette_;
};

}  // namespace k1
