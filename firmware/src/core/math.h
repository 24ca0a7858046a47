// The core's own mathematics in float, so that no image imports libm and every cycle is visible to the cost model.
//
// Errors stated at each function are maxima against double precision, checked by firmware/test/test_math.cpp.
// Coefficients: Chebyshev economised Taylor series (sine, exp2) and the artanh series (log2), derived for these intervals.
// Nothing here raises, sets errno or allocates. NaN in gives NaN or a value in the stated range out, never a trap.
#pragma once
#include <cstdint>
#include <cstring>

namespace k1 {
namespace math {

constexpr float kPi = 3.14159265358979f;
constexpr float kTwoPi = 6.28318530717959f;
constexpr float kLn2 = 0.693147180559945f;
constexpr float kLog2E = 1.44269504088896f;

inline uint32_t bits_of(float x) {
    uint32_t u;
    std::memcpy(&u, &x, sizeof u);
    return u;
}

inline float float_of(uint32_t u) {
    float x;
    std::memcpy(&x, &u, sizeof x);
    return x;
}

// The choices below are made with masks instead of branches: on the chip a branch costs more than the two moves between
// register files, and on the virtual board every branch is a block to be counted.
inline float choose(bool first, float a, float b) {
    const uint32_t mask = 0u - static_cast<uint32_t>(first);
    return float_of((bits_of(a) & mask) | (bits_of(b) & ~mask));
}

// A NaN among the arguments gives the second (min, max) or a bound (clamp).
inline float min(float a, float b) { return choose(a < b, a, b); }
inline float max(float a, float b) { return choose(a > b, a, b); }
inline float clamp(float x, float lo, float hi) { return min(max(x, lo), hi); }
inline float abs(float x) { return __builtin_fabsf(x); }
// max(x, 0) without a comparison: the sign bit is the mask. A positive NaN stays.
inline float positive(float x) {
    const uint32_t u = bits_of(x);
    return float_of(u & ~static_cast<uint32_t>(static_cast<int32_t>(u) >> 31));
}
// Within [0, 1]; inside, exact to 6e-8.
inline float clamp01(float x) { return positive(1.0f - positive(1.0f - x)); }

// a0 + a1 x + a2 x^2 + ..., by Horner's rule.
inline float poly(float, float a0) { return a0; }
template <typename... More>
inline float poly(float x, float a0, More... more) {
    return a0 + x * poly(x, more...);
}

inline float lerp(float a, float b, float t) { return a + (b - a) * t; }
inline float sq(float x) { return x * x; }

// Bit test: independent of compiler options that assume finite numbers.
inline bool is_nan(float x) { return (bits_of(x) & 0x7FFFFFFFu) > 0x7F800000u; }

// Largest whole number <= x. Exact for |x| < 2^31.
inline float floor(float x) {
    const float t = static_cast<float>(static_cast<int32_t>(x));
    return t - static_cast<float>(static_cast<int32_t>(t > x));
}

// x - floor(x), in [0, 1]; |x| < 2^31.
inline float fract(float x) { return x - floor(x); }

// Nearest integer, halves away from zero; |x| < 2^31.
inline int32_t round_to_int(float x) { return static_cast<int32_t>(x + (x < 0.0f ? -0.5f : 0.5f)); }

// Square root for x >= 0 (negative or zero: 0). Relative error < 3e-7. Start value from the exponent, then Newton on 1/sqrt.
inline float sqrt(float x) {
    float r = float_of(0x5F375A86u - (bits_of(x) >> 1));
    r = r * (1.5f - 0.5f * x * r * r);
    r = r * (1.5f - 0.5f * x * r * r);
    r = r * (1.5f - 0.5f * x * r * r);
    return choose(x > 0.0f, x * r, 0.0f);
}

// sin(2 pi t): argument in turns, so reduction is exact. |t| < 2^22. Absolute error < 4e-7 for |t| <= 1.
inline float sin_turns(float t) {
    const float r = t - floor(t + 0.5f);                               // [-0.5, 0.5]
    const float x = (0.25f - abs(abs(r) - 0.25f)) * kTwoPi;             // folded to [0, pi/2]
    const float x2 = x * x;
    const float y = x * poly(x2, 1.0f, -1.6666666e-1f, 8.3333310e-3f, -1.9840874e-4f, 2.7525562e-6f, -2.3889859e-8f);
    return float_of(bits_of(y) ^ (bits_of(r) & 0x80000000u));
}

inline float cos_turns(float t) { return sin_turns(t + 0.25f); }

// Radians. Absolute error < 1e-6 + 1e-7 |x|.
inline float sin(float x) { return sin_turns(x * (1.0f / kTwoPi)); }
inline float cos(float x) { return cos_turns(x * (1.0f / kTwoPi)); }

// 2^x for x in [-126, 127] (outside: the edge). Relative error < 3e-7.
inline float exp2(float x) {
    x = clamp(x, -126.0f, 127.0f);
    const float whole = floor(x + 0.5f);
    const float f = x - whole;                       // [-0.5, 0.5]
    const float p = poly(f, 1.0f, 6.9314718e-1f, 2.4022651e-1f, 5.5504109e-2f, 9.6181291e-3f, 1.3333558e-3f, 1.5403530e-4f);
    return p * float_of(static_cast<uint32_t>(static_cast<int32_t>(whole) + 127) << 23);
}

// e^x; relative error < 3e-7 + 1e-7 |x|.
inline float exp(float x) { return exp2(x * kLog2E); }

// log2 x for normal x > 0 (zero, negative, NaN: -126). Absolute error < 4e-7 + 6e-8 |log2 x|.
inline float log2(float x) {
    x = max(x, 1.17549435e-38f);
    const uint32_t u = bits_of(x);
    const int32_t e = static_cast<int32_t>(u - 0x3F3504F3u) >> 23;      // exponent, with the mantissa in [sqrt 1/2, sqrt 2)
    const float m = float_of(u - (static_cast<uint32_t>(e) << 23));
    const float s = (m - 1.0f) / (m + 1.0f);                            // |s| <= 0.1716
    const float s2 = s * s;
    return static_cast<float>(e) + s * poly(s2, 2.88539008f, 0.961796694f, 0.577078016f, 0.412198583f, 0.32059890f);
}

inline float log(float x) { return log2(x) * kLn2; }

// x^y for x > 0; 0 for x <= 0. Relative error < 1e-6 for |y log2 x| <= 8.
inline float pow(float x, float y) { return choose(x > 0.0f, exp2(y * log2(x)), 0.0f); }

// Absolute error < 3e-7.
inline float tanh(float x) {
    const float e = exp2(clamp(x, -9.0f, 9.0f) * (2.0f * kLog2E));
    return 1.0f - 2.0f / (e + 1.0f);
}

// Angle of (x, y) in radians, (-pi, pi]; 0 for (0, 0). Absolute error < 2e-6.
inline float atan2(float y, float x) {
    const float ax = abs(x), ay = abs(y);
    const float big = max(ax, ay);
    if (!(big > 0.0f)) return 0.0f;
    const float q = min(ax, ay) / big;               // [0, 1]
    // One half-angle step, tan(a/2) = q / (1 + sqrt(1 + q^2)) <= 0.4143, makes the plain series converge fast.
    const float h = q / (1.0f + sqrt(1.0f + q * q));
    const float h2 = h * h;
    float a = 2.0f * h * poly(h2, 1.0f, -0.33333333f, 0.2f, -0.14285714f, 0.11111111f, -0.09090909f, 0.07692308f);
    a = choose(ay > ax, 0.5f * kPi - a, a);
    a = choose(x < 0.0f, kPi - a, a);
    return choose(y < 0.0f, -a, a);
}

// Zero when x has decayed below anything visible or audible: keeps long decays out of the subnormal numbers, which cost a
// hundred times more on some processors.
inline float settle(float x) { return choose(abs(x) > 1e-9f, x, 0.0f); }

// 1 - e^(-dt/tau): the step of a one-pole low-pass that does not depend on the frame rate. tau_s <= 0 gives 1.
inline float ease(float dt_s, float tau_s) { return tau_s > 0.0f ? 1.0f - exp(-dt_s / tau_s) : 1.0f; }

// Small deterministic noise source (xorshift, period 2^32 - 1).
struct Random {
    uint32_t state = 0x9E3779B9u;
    uint32_t next() {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        return state;
    }
    float uniform() { return static_cast<float>(next() >> 8) * (1.0f / 16777216.0f); }
};

}  // namespace math
}  // namespace k1
