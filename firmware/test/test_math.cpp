// The stated errors of core/math.h, measured against double precision over dense grids.
#include <doctest/doctest.h>

#include <cmath>
#include <initializer_list>
#include <limits>

#include "core/math.h"

using namespace k1;

namespace {

template <typename F, typename G>
double worst_absolute(F ours, G truth, double from, double to, int steps) {
    double worst = 0.0;
    for (int i = 0; i <= steps; ++i) {
        const float x = static_cast<float>(from + (to - from) * i / steps);
        worst = std::fmax(worst, std::fabs(static_cast<double>(ours(x)) - truth(static_cast<double>(x))));
    }
    return worst;
}

template <typename F, typename G>
double worst_relative(F ours, G truth, double from, double to, int steps) {
    double worst = 0.0;
    for (int i = 0; i <= steps; ++i) {
        const float x = static_cast<float>(from + (to - from) * i / steps);
        const double t = truth(static_cast<double>(x));
        worst = std::fmax(worst, std::fabs((static_cast<double>(ours(x)) - t) / t));
    }
    return worst;
}

constexpr int kSteps = 100000;
const float kNan = std::numeric_limits<float>::quiet_NaN();
const float kInf = std::numeric_limits<float>::infinity();

}  // namespace

TEST_CASE("math: sine and cosine") {
    constexpr double kTurn = 2.0 * 3.14159265358979323846;
    auto sin_t = [](double t) { return std::sin(kTurn * t); };
    auto cos_t = [](double t) { return std::cos(kTurn * t); };
    auto sin_r = [](double x) { return std::sin(x); };
    auto cos_r = [](double x) { return std::cos(x); };
    CHECK(worst_absolute(math::sin_turns, sin_t, -1.0, 1.0, kSteps) < 4e-7);
    CHECK(worst_absolute(math::cos_turns, cos_t, -0.5, 0.75, kSteps) < 4e-7);
    CHECK(worst_absolute(math::sin, sin_r, -10.0, 10.0, kSteps) < 2e-6);
    CHECK(worst_absolute(math::cos, cos_r, -10.0, 10.0, kSteps) < 2e-6);
    // Argument reduction is exact: a whole number of turns changes nothing.
    CHECK(math::sin_turns(1024.25f) == math::sin_turns(0.25f));
}

TEST_CASE("math: exponentials and logarithms") {
    CHECK(worst_relative(math::exp2, [](double x) { return std::exp2(x); }, -126.0, 127.0, kSteps) < 3e-7);
    CHECK(worst_relative(math::exp, [](double x) { return std::exp(x); }, -20.0, 20.0, kSteps) < 3e-7 + 20e-7);
    CHECK(worst_relative(math::exp, [](double x) { return std::exp(x); }, -1.0, 1.0, kSteps) < 4e-7);
    CHECK(worst_absolute(math::log2, [](double x) { return std::log2(x); }, 0.01, 16.0, kSteps) < 8e-7);
    CHECK(worst_absolute(math::log, [](double x) { return std::log(x); }, 0.01, 16.0, kSteps) < 8e-7);
    auto power = [](float x) { return math::pow(x, 2.2f); };
    auto true_power = [](double x) { return std::pow(x, static_cast<double>(2.2f)); };
    CHECK(worst_relative(power, true_power, 0.2, 4.0, kSteps) < 1e-6);
    for (int e = -125; e <= 126; ++e) CHECK(math::exp2(static_cast<float>(e)) == std::ldexp(1.0f, e));
    for (int e = -125; e <= 126; ++e) CHECK(math::log2(std::ldexp(1.0f, e)) == static_cast<float>(e));
    CHECK(math::pow(0.0f, 2.0f) == 0.0f);
    CHECK(math::log2(0.0f) == -126.0f);
    CHECK(math::log2(-1.0f) == -126.0f);
    CHECK(math::exp2(-1000.0f) == std::ldexp(1.0f, -126));
    CHECK(math::exp2(1000.0f) == std::ldexp(1.0f, 127));
}

TEST_CASE("math: square root") {
    CHECK(worst_relative(math::sqrt, [](double x) { return std::sqrt(x); }, 1e-6, 4.0, kSteps) < 3e-7);
    CHECK(worst_relative(math::sqrt, [](double x) { return std::sqrt(x); }, 1.0, 1e9, kSteps) < 3e-7);
    CHECK(worst_relative(math::sqrt, [](double x) { return std::sqrt(x); }, 1e-36, 1e-30, kSteps) < 3e-7);
    CHECK(math::sqrt(0.0f) == 0.0f);
    CHECK(math::sqrt(-4.0f) == 0.0f);
}

TEST_CASE("math: hyperbolic tangent and angle") {
    CHECK(worst_absolute(math::tanh, [](double x) { return std::tanh(x); }, -12.0, 12.0, kSteps) < 3e-7);
    double worst = 0.0;
    for (int i = 0; i < 3600; ++i) {
        const double a = -3.1415926 + i * 6.283185 / 3600.0;
        for (double r : {1e-6, 0.3, 1.0, 500.0}) {
            const float x = static_cast<float>(r * std::cos(a)), y = static_cast<float>(r * std::sin(a));
            const double truth = std::atan2(static_cast<double>(y), static_cast<double>(x));
            worst = std::fmax(worst, std::fabs(static_cast<double>(math::atan2(y, x)) - truth));
        }
    }
    CHECK(worst < 2e-6);
    CHECK(math::atan2(0.0f, 0.0f) == 0.0f);
    CHECK(math::atan2(1.0f, 0.0f) == doctest::Approx(1.5707963));
    CHECK(math::atan2(0.0f, -1.0f) == doctest::Approx(3.1415926));
}

TEST_CASE("math: rounding, bounds and choices") {
    for (double x = -50.0; x <= 50.0; x += 0.125) {
        CHECK(math::floor(static_cast<float>(x)) == static_cast<float>(std::floor(x)));
        CHECK(math::round_to_int(static_cast<float>(x)) == static_cast<int>(std::lround(x)));
    }
    CHECK(math::fract(-0.25f) == 0.75f);
    auto clamped = [](double x) { return std::fmin(std::fmax(x, 0.0), 1.0); };
    CHECK(worst_absolute(math::clamp01, clamped, -2.0, 3.0, kSteps) < 6e-8);
    CHECK(math::clamp01(0.0f) == 0.0f);
    CHECK(math::clamp01(1.0f) == 1.0f);
    CHECK(math::clamp01(kInf) == 1.0f);
    CHECK(math::clamp01(-kInf) == 0.0f);
    CHECK(math::positive(-3.0f) == 0.0f);
    CHECK(math::positive(3.0f) == 3.0f);
    CHECK(math::min(2.0f, kNan) != math::min(2.0f, kNan));   // the second argument
    CHECK(math::clamp(kNan, 1.0f, 2.0f) == 1.0f);
    CHECK(math::is_nan(kNan));
    CHECK_FALSE(math::is_nan(kInf));
    CHECK(math::settle(1e-12f) == 0.0f);
    CHECK(math::settle(-0.5f) == -0.5f);
    CHECK(math::ease(0.006f, 0.006f) == doctest::Approx(1.0 - std::exp(-1.0)));
    CHECK(math::ease(0.006f, 0.0f) == 1.0f);
}
