// Tempo and beats: found in time, right, in phase; none in noise.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "signals.h"

using namespace k1;
using namespace test;

namespace {

struct Heard {
    double found_s = -1.0;          // first time within 2 BPM and confident, staying so to the end
    double worst_bpm_error = 0.0;   // last 8 s
    double worst_beat_ms = 0.0;     // distance of beat events from the clicks, last 8 s
    int beats = 0;                  // last 8 s
    float confidence = 0.0f, most_confidence = 0.0f;
    TempoBin top = {};
};

Heard listen(const Signal& signal, double bpm, double seconds, double first_s = 0.0) {
    audio().begin();
    Player player;
    Heard h;
    const double period = 60.0 / bpm;
    player.play(signal, seconds, [&](double t) {
        const AudioSnapshot s = audio().snapshot();
        const bool right = s.tempo_confidence > 0.3f && std::fabs(s.tempo_bpm - bpm) < 2.0;
        if (!right) h.found_s = -1.0;
        else if (h.found_s < 0.0) h.found_s = t;
        h.confidence = s.tempo_confidence;
        h.most_confidence = std::fmax(h.most_confidence, s.tempo_confidence);
        const bool last = t > seconds - 8.0;
        if (last) h.worst_bpm_error = std::fmax(h.worst_bpm_error, std::fabs(s.tempo_bpm - bpm));
        AudioEvent e;
        while (audio().next_event(&e)) {
            if (e.kind != AudioEvent::Kind::beat || !last) continue;
            const double since_s = static_cast<double>(e.t_us) * 1e-6 - first_s;
            const double off = std::fmod(since_s + 10.5 * period, period) - 0.5 * period;
            h.worst_beat_ms = std::fmax(h.worst_beat_ms, 1e3 * std::fabs(off));
            ++h.beats;
        }
    });
    audio().top_tempi(&h.top, 1);
    return h;
}

}  // namespace

TEST_CASE("tempo: click tracks are found within 15 s, to 2 BPM, with beats on the clicks") {
    for (double bpm : {60.0, 90.0, 120.0, 128.0, 140.0}) {
        const Heard h = listen(clicks(bpm, 0.4, 0.2), bpm, 20.0, 0.2);
        CAPTURE(bpm);
        CHECK(h.found_s > 0.0);
        CHECK(h.found_s < 15.0);
        CHECK(h.worst_bpm_error < 2.0);
        CHECK(h.confidence > 0.6f);
        CHECK(h.top.bpm == doctest::Approx(bpm).epsilon(0.02));
        CHECK(h.top.magnitude > 0.1f);
        CHECK(std::abs(h.beats - 8.0 * bpm / 60.0) <= 1.5);
        CHECK(h.worst_beat_ms < 45.0);
    }
}

TEST_CASE("tempo: a four-on-the-floor is not doubled by its off-beat") {
    std::mt19937 rng(2);
    for (double bpm : {90.0, 120.0, 140.0}) {
        const Heard h = listen(four_on_floor(bpm, 0.4, rng), bpm, 20.0);
        CAPTURE(bpm);
        CHECK(h.found_s > 0.0);
        CHECK(h.found_s < 15.0);
        CHECK(h.worst_bpm_error < 2.0);
    }
}

TEST_CASE("tempo: noise and steady tones have none") {
    for (unsigned seed = 1; seed <= 4; ++seed) {
        std::mt19937 rng(seed);
        const Heard h = listen(pink(0.1, rng), 120.0, 20.0);
        CAPTURE(seed);
        CHECK(h.most_confidence < 0.3f);
        CHECK(h.beats == 0);
    }
    CHECK(listen(tone(440.0, 0.2), 120.0, 15.0).most_confidence < 0.1f);
    CHECK(listen(silence(), 120.0, 10.0).most_confidence == 0.0f);
}

TEST_CASE("tempo: follows a change of tempo") {
    const Signal slow = clicks(90.0), fast = clicks(132.0);
    const Heard h = listen([&](double t) { return t < 15.0 ? slow(t) : fast(t - 15.0); }, 132.0, 35.0);
    CHECK(h.found_s > 15.0);
    CHECK(h.found_s < 30.0);
}

TEST_CASE("tempo: all 192 bins are visited") {
    // A click track at each end and in between comes out as its own strongest bin.
    for (double bpm : {52.0, 75.0, 101.0, 149.0}) {
        const Heard h = listen(clicks(bpm), bpm, 15.0);
        CAPTURE(bpm);
        CHECK(h.top.bpm == doctest::Approx(bpm).epsilon(0.015));
    }
    TempoBin all[kTempi];
    CHECK(audio().top_tempi(all, kTempi) == kTempi);
    for (size_t i = 1; i < kTempi; ++i) CHECK(all[i].magnitude <= all[i - 1].magnitude);
}
