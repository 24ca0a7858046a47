// The Goertzel bank against a direct transform in double precision, and against tones.
#include <doctest/doctest.h>

#include <cmath>
#include <complex>
#include <memory>
#include <random>
#include <vector>

#include "core/goertzel.h"
#include "signals.h"

using namespace k1;

namespace {

// What one bin should read: Gaussian window of sigma 0.8, amplitude of a sine at the centre, the bank's weight.
double direct(const std::vector<double>& x, size_t bin) {
    const size_t n = bin_block(bin);
    const double w = 2.0 * test::kPi * 77.78 * std::pow(2.0, static_cast<double>(bin) / 12.0) / test::kRate;
    std::complex<double> sum;
    double gain = 0.0;
    for (size_t k = 0; k < n; ++k) {
        const double u = (2.0 * (static_cast<double>(k) + 0.5) / static_cast<double>(n) - 1.0) / 0.8;
        const double g = std::exp(-0.5 * u * u);
        sum += x[x.size() - n + k] * g * std::polar(1.0, -w * static_cast<double>(k));
        gain += g;
    }
    const double weight = std::sqrt(std::pow(static_cast<double>(bin) / 64.0, 4.0) * 0.995 + 0.005);
    return 2.0 * std::abs(sum) / gain * weight;
}

std::unique_ptr<GoertzelBank> fed(const std::vector<double>& x) {
    auto bank = std::make_unique<GoertzelBank>();
    bank->begin();
    for (size_t at = 0; at + kHop <= x.size(); at += kHop) {
        float hop[kHop];
        for (size_t i = 0; i < kHop; ++i) hop[i] = static_cast<float>(x[at + i]);
        bank->push(hop);
    }
    return bank;
}

std::vector<double> sine(double hz, double amplitude, double phase, size_t n = 1600) {
    std::vector<double> x(n);
    const double w = 2.0 * test::kPi * hz / test::kRate;
    for (size_t i = 0; i < n; ++i) x[i] = amplitude * std::sin(w * static_cast<double>(i) + phase);
    return x;
}

size_t strongest(const GoertzelBank& bank) {
    float m[kBins];
    bank.run(m);
    size_t top = 0;
    for (size_t i = 1; i < kBins; ++i)
        if (m[i] > m[top]) top = i;
    return top;
}

}  // namespace

TEST_CASE("goertzel: bins and blocks are the contract's") {
    CHECK(bin_frequency_hz(0) == doctest::Approx(77.78));
    CHECK(bin_frequency_hz(30) == doctest::Approx(440.0).epsilon(1e-4));
    CHECK(bin_frequency_hz(63) == doctest::Approx(2959.96).epsilon(1e-4));
    size_t sum = 0;
    for (size_t i = 0; i < kBins; ++i) sum += bin_block(i);
    CHECK(bin_block(0) == 1380);
    CHECK(bin_block(30) == 244);
    CHECK(bin_block(63) == 36);
    CHECK(sum == 23916);
}

TEST_CASE("goertzel: equals the direct transform on noise and on tones") {
    std::mt19937 rng(7);
    std::normal_distribution<double> noise(0.0, 0.1);
    std::vector<double> white(1600);
    for (double& v : white) v = noise(rng);
    for (const std::vector<double>& x : {white, sine(82.4, 0.5, 0.3), sine(440.0, 0.1, 1.0), sine(2900.0, 0.9, 2.0)}) {
        const auto bank = fed(x);
        float m[kBins];
        bank->run(m);
        double peak = 0.0;
        for (size_t i = 0; i < kBins; ++i) peak = std::fmax(peak, direct(x, i));
        for (size_t i = 0; i < kBins; ++i) {
            CAPTURE(i);
            // The shared window has 1024 steps: 0.1 % of the largest bin.
            CHECK(std::fabs(m[i] - direct(x, i)) < 1e-3 * peak);
        }
    }
}

TEST_CASE("goertzel: the reading follows the newest samples, wherever the ring stands") {
    for (size_t extra = 0; extra < 30; ++extra) {
        std::vector<double> x(extra * kHop, 0.9);
        const std::vector<double> tone = sine(1000.0, 0.2, 0.5);
        x.insert(x.end(), tone.begin(), tone.end());
        float a[kBins], b[kBins];
        fed(x)->run(a);
        fed(tone)->run(b);
        for (size_t i = 0; i < kBins; ++i) CHECK(a[i] == b[i]);
    }
}

TEST_CASE("goertzel: the strongest bin of a tone is its nominal bin from 110 Hz up, at any phase") {
    std::mt19937 rng(11);
    std::uniform_real_distribution<double> phase(0.0, 2.0 * test::kPi);
    for (size_t bin = 6; bin < kBins; ++bin) {
        for (int k = 0; k < 12; ++k) {
            const auto bank = fed(sine(77.78 * std::pow(2.0, static_cast<double>(bin) / 12.0), 0.1, phase(rng)));
            CAPTURE(bin);
            CHECK(strongest(*bank) == bin);
        }
    }
}

TEST_CASE("goertzel: amplitude is read within 3 % at a bin's centre") {
    for (size_t bin : {size_t{12}, size_t{30}, size_t{45}, size_t{56}}) {
        const auto bank = fed(sine(bin_frequency_hz(bin), 0.25, 0.7));
        float m[kBins];
        bank->run(m, false);
        CAPTURE(bin);
        CHECK(m[bin] == doctest::Approx(0.25).epsilon(0.03));
    }
}
