// Test sounds at the core's sample rate, fed hop by hop into the audio front end.
#pragma once
#include <cmath>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include "core/audio.h"
#include "fake_hal.h"

namespace test {

constexpr double kRate = k1::kSampleRateHz;
constexpr double kPi = 3.14159265358979323846;

using Signal = std::function<double(double t_s)>;   // amplitude at a time; called once per sample, in order

inline Signal silence() {
    return [](double) { return 0.0; };
}

inline Signal tone(double hz, double amplitude, double phase = 0.0) {
    return [=](double t) { return amplitude * std::sin(2.0 * kPi * hz * t + phase); };
}

// A 25 ms burst of a 1 kHz tone with a decaying envelope at each beat, the first at `first_s`.
inline Signal clicks(double bpm, double amplitude = 0.5, double first_s = 0.0) {
    return [=](double t) {
        const double since = std::fmod(t - first_s, 60.0 / bpm);
        if (t < first_s || since > 0.025) return 0.0;
        return amplitude * std::exp(-since / 0.008) * std::sin(2.0 * kPi * 1000.0 * since);
    };
}

// Kick on each beat (100 Hz), noise hat on the off-beat: a plain four-on-the-floor.
inline Signal four_on_floor(double bpm, double amplitude, std::mt19937& rng) {
    return [=, &rng, noise = std::normal_distribution<double>()](double t) mutable {
        const double period = 60.0 / bpm;
        const double kick = std::fmod(t, period), hat = std::fmod(t + period / 2, period);
        const double drum = std::exp(-kick / 0.06) * std::sin(2.0 * kPi * 100.0 * kick);
        return amplitude * (drum + 0.3 * std::exp(-hat / 0.015) * noise(rng));
    };
}

// Pink noise, RMS about `rms` (P. Kellet's filter on white noise).
inline Signal pink(double rms, std::mt19937& rng) {
    return [=, &rng, noise = std::normal_distribution<double>(), b0 = 0.0, b1 = 0.0, b2 = 0.0](double) mutable {
        const double white = noise(rng);
        b0 = 0.99765 * b0 + white * 0.0990460;
        b1 = 0.96300 * b1 + white * 0.2965164;
        b2 = 0.57000 * b2 + white * 1.0526913;
        return rms * 0.35 * (b0 + b1 + b2 + white * 0.1848);
    };
}

// Plays `seconds` of a signal into the front end; `each` is called after every hop with the time of its last sample.
class Player {
  public:
    k1::Params params;
    uint64_t start_us = 0;      // device time of sample 0
    uint64_t played = 0;        // samples so far

    void play(const Signal& signal, double seconds, const std::function<void(double)>& each = nullptr) {
        const uint64_t from = played;
        const auto hops = static_cast<uint64_t>(seconds * kRate / k1::kHop);
        for (uint64_t h = 0; h < hops; ++h) {
            int32_t words[k1::kHop];
            for (int32_t& w : words) {
                const double t_s = static_cast<double>(played++ - from) / kRate;
                w = fake::i2s_word(static_cast<float>(signal(t_s)));
            }
            k1::audio().process(words, k1::kHop, start_us + (played - 1) * 1000000 / k1::kSampleRateHz, params);
            if (each) each(static_cast<double>(played - from - 1) / kRate);
        }
    }
};

}  // namespace test
