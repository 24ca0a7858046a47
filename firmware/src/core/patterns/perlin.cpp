// Perlin: smooth noise in two dimensions, place and time, two layers. `speed` sets the flow, music speeds it up and
// lights it; in silence it flows on, dim.
#include "core/patterns/common.h"

namespace k1 {

namespace {

float flow;     // lattice cells that have passed, 0..256; the lattice repeats every 256 cells, so wrapping shows no seam
float light;    // smoothed loudness

// Lattice value 0..1: a hash of two coordinates, each taken modulo 256.
float lattice(uint32_t x, uint32_t y) {
    uint32_t h = (x & 255u) * 0x9E3779B1u + (y & 255u) * 0x85EBCA77u;
    h ^= h >> 15;
    h *= 0xC2B2AE3Du;
    h ^= h >> 13;
    return static_cast<float>(h >> 8) * (1.0f / 16777216.0f);
}

float fade(float t) { return t * t * (3.0f - 2.0f * t); }

// Value noise 0..1 at (x, y) >= 0.
float noise(float x, float y) {
    const uint32_t ix = static_cast<uint32_t>(x), iy = static_cast<uint32_t>(y);
    const float u = fade(x - static_cast<float>(ix)), v = fade(y - static_cast<float>(iy));
    const float near = math::lerp(lattice(ix, iy), lattice(ix + 1, iy), u);
    const float far = math::lerp(lattice(ix, iy + 1), lattice(ix + 1, iy + 1), u);
    return math::lerp(near, far, v);
}

}  // namespace

void start_perlin() { flow = light = 0.0f; }

void render_perlin(FrameContext& f) {
    light = math::settle(light + (loudness(f.audio) - light) * math::ease(f.dt_s, 0.08f));
    flow += (0.15f + 1.35f * f.p.speed) * (1.0f + 2.0f * light) * f.dt_s;
    if (flow >= 256.0f) flow -= 256.0f;
    const Tint tint(f.p);
    const float dim = math::max(idle_drive(f.p), 0.25f);
    const float drive = over_floor(dim, light), shift = 0.3f * f.p.color_reactivity * light;
    const float scale = 0.04f + 0.10f * f.p.custom_param_1;
    float twice = 2.0f * flow;                        // the finer layer flows at twice the pace on a lattice of its own
    twice = twice >= 256.0f ? twice - 256.0f : twice;
    for (size_t h = 0; h < kHalf; ++h) {
        const float x = static_cast<float>(h) * scale;
        const float n = 0.67f * noise(x, flow) + 0.33f * noise(2.0f * x + 128.0f, twice);
        put(f.leds, h, scaled(tint.at(n, shift), drive * (0.25f + 0.75f * fade(n))));
    }
}

}  // namespace k1
