// The audio front end as a whole: levels, silence, onsets, switches, time.
#include <doctest/doctest.h>

#include <cmath>
#include <memory>

#include "signals.h"

using namespace k1;
using namespace test;

namespace {

Player fresh() {
    fake::reset();
    audio().begin();
    audio().set_active(true);
    audio().set_gain(1.0f);
    audio().calibrate_noise(0);
    return Player();
}

size_t strongest(const float* v, size_t n) {
    size_t top = 0;
    for (size_t i = 1; i < n; ++i)
        if (v[i] > v[top]) top = i;
    return top;
}

int drain(AudioEvent::Kind kind) {
    AudioEvent e;
    int n = 0;
    while (audio().next_event(&e)) n += e.kind == kind ? 1 : 0;
    return n;
}

}  // namespace

TEST_CASE("audio: before the first hop nothing is valid") {
    fresh();
    const AudioSnapshot s = audio().snapshot();
    CHECK_FALSE(s.valid);
    CHECK(s.silent);
    CHECK(s.updates == 0);
}

TEST_CASE("audio: a tone fills its bin and its note") {
    Player player = fresh();
    player.play(tone(440.0, 0.1), 1.0);
    const AudioSnapshot s = audio().snapshot();
    CHECK(s.valid);
    CHECK_FALSE(s.silent);
    CHECK(strongest(s.spectrum, kBins) == 30);
    CHECK(strongest(s.spectrum_smooth, kBins) == 30);
    CHECK(s.spectrum[30] > 0.9f);
    CHECK(s.spectrum_smooth[30] == doctest::Approx(s.spectrum[30]).epsilon(0.02));
    CHECK(strongest(s.chroma, kChroma) == 6);    // A, counted from D#
    CHECK(s.vu_raw > 0.03f);
    CHECK(s.hop_level == doctest::Approx(0.1 * 2.0 / kPi).epsilon(0.03));
    CHECK(s.updates == 200);
    CHECK(s.t_us == (12800ull - 1) * 1000000 / 12800);
}

TEST_CASE("audio: the picture does not depend on the level, within 30 dB") {
    float seen[3];
    int k = 0;
    for (double amplitude : {0.9, 0.1, 0.03}) {
        Player player = fresh();
        player.play(tone(880.0, amplitude), 6.0);
        seen[k++] = audio().snapshot().spectrum[42];
    }
    CHECK(seen[0] == doctest::Approx(seen[1]).epsilon(0.05));
    CHECK(seen[1] == doctest::Approx(seen[2]).epsilon(0.05));
}

TEST_CASE("audio: a constant offset of the microphone is not sound") {
    Player player = fresh();
    player.play([](double) { return 0.4; }, 2.0);
    CHECK(audio().snapshot().silent);
    CHECK(audio().snapshot().hop_level < 1e-4f);
    player.play([](double t) { return 0.4 + 0.1 * std::sin(2.0 * kPi * 440.0 * t); }, 0.5);
    CHECK(strongest(audio().snapshot().spectrum, kBins) == 30);
}

TEST_CASE("audio: silence after music darkens everything within two seconds and stays exactly zero") {
    Player player = fresh();
    std::mt19937 rng(3);
    player.play(four_on_floor(120.0, 0.4, rng), 12.0);
    CHECK(audio().snapshot().tempo_confidence > 0.5f);
    player.play(silence(), 1.0);
    CHECK_FALSE(audio().snapshot().silent);       // a pause of a slow beat
    player.play(silence(), 1.2);
    AudioSnapshot s = audio().snapshot();
    CHECK(s.silent);
    CHECK(s.silence_level == 1.0f);
    CHECK(s.vu < 0.01f);
    const uint32_t beats = s.beats;
    player.play(silence(), 8.0);
    s = audio().snapshot();
    CHECK(s.tempo_confidence == 0.0f);
    CHECK(s.tempo_bpm == 0.0f);
    CHECK(s.beats == beats);
    CHECK(s.onset == 0.0f);
    for (float v : s.spectrum) CHECK(v == 0.0f);
    for (float v : s.spectrum_smooth) CHECK(v == 0.0f);
    CHECK(s.valid);
}

TEST_CASE("audio: a quiet room's noise is silence") {
    Player player = fresh();
    std::mt19937 rng(5);
    player.play(pink(0.001, rng), 5.0);
    CHECK(audio().snapshot().silent);
    CHECK(audio().snapshot().vu == 0.0f);
    CHECK(drain(AudioEvent::Kind::onset) == 0);
}

TEST_CASE("audio: every click is one onset, at most two hops late, and nothing else is") {
    for (double first_s : {0.5, 0.5013, 0.5031}) {
        Player player = fresh();
        player.play(clicks(97.0, 0.3, first_s), 10.0);
        AudioEvent e;
        int onsets = 0;
        while (audio().next_event(&e)) {
            if (e.kind != AudioEvent::Kind::onset) continue;
            const double after = std::fmod(static_cast<double>(e.t_us) * 1e-6 - first_s + 1e-4, 60.0 / 97.0);
            CAPTURE(after);
            CHECK(after < 0.0105);
            CHECK(e.value > 0.0f);
            ++onsets;
        }
        CHECK(onsets == static_cast<int>((10.0 - first_s) / (60.0 / 97.0)) + 1);
        CHECK(static_cast<int>(audio().snapshot().onsets) == onsets);
    }
}

TEST_CASE("audio: steady sounds have no onsets but their first") {
    Player player = fresh();
    player.play(tone(523.0, 0.2), 10.0);
    CHECK(drain(AudioEvent::Kind::onset) == 1);
    std::mt19937 rng(9);
    player = fresh();
    player.play(pink(0.1, rng), 20.0);
    CHECK(drain(AudioEvent::Kind::onset) < 20);   // under one a second in noise
}

TEST_CASE("audio: switched off the snapshot is invalid, and comes back") {
    Player player = fresh();
    player.play(tone(440.0, 0.1), 0.5);
    audio().set_active(false);
    player.play(tone(440.0, 0.1), 0.1);
    CHECK_FALSE(audio().snapshot().valid);
    CHECK(audio().snapshot().vu == 0.0f);
    audio().set_active(true);
    player.play(tone(440.0, 0.1), 0.5);
    CHECK(audio().snapshot().valid);
    CHECK(strongest(audio().snapshot().spectrum, kBins) == 30);
}

TEST_CASE("audio: a dead microphone is silence with the counter standing still") {
    Player player = fresh();
    player.play(tone(440.0, 0.1), 0.5);
    const uint32_t updates = audio().snapshot().updates;
    audio().dropout();
    const AudioSnapshot s = audio().snapshot();
    CHECK(s.silent);
    CHECK(s.updates == updates);
    CHECK(s.vu == 0.0f);
    player.play(tone(440.0, 0.1), 0.5);
    CHECK(audio().snapshot().updates == updates + 100);
    CHECK_FALSE(audio().snapshot().silent);
}

TEST_CASE("audio: settings are held within their ranges and act") {
    Player player = fresh();
    audio().set_gain(9.0f);
    CHECK(audio().gain() == 2.0f);
    audio().set_gain(0.5f);
    audio().set_vu_floor(0.1f);
    CHECK(audio().vu_floor() == 0.5f);
    player.play(tone(440.0, 0.1), 3.0);
    CHECK(audio().snapshot().spectrum[30] == doctest::Approx(0.5).epsilon(0.05));
    player = fresh();
    player.params.audio_sensitivity = 0.5f;
    player.play(tone(440.0, 0.1), 2.0);
    const AudioSnapshot s = audio().snapshot();
    CHECK(s.vu == doctest::Approx(0.5 * s.vu_raw));
}

TEST_CASE("audio: bass_treble_balance tilts the mean level") {
    float level[3];
    int k = 0;
    for (float balance : {-1.0f, 0.0f, 1.0f}) {
        Player player = fresh();
        player.params.bass_treble_balance = balance;
        player.play(tone(2500.0, 0.1), 2.0);
        level[k++] = audio().snapshot().vu_raw;
    }
    CHECK(level[0] < 0.3f * level[1]);
    CHECK(level[2] > 1.7f * level[1]);
}

TEST_CASE("audio: calibrated noise is taken off the spectrum") {
    std::mt19937 rng(21);
    Player player = fresh();
    player.play(pink(0.02, rng), 2.0);
    const float before = audio().snapshot().vu_raw;
    audio().calibrate_noise(400);
    player.play(pink(0.02, rng), 8.0);
    CHECK(before > 0.1f);
    CHECK(audio().snapshot().vu_raw < 0.6f * before);
}

TEST_CASE("audio: beyond 71 min 35 s, with the tempo alive and stamps in 64 bits") {
    Player player = fresh();
    player.start_us = 4294967296ull - 6000000;
    player.play(clicks(120.0), 14.0);
    const AudioSnapshot s = audio().snapshot();
    CHECK(s.t_us > 4294967296ull);
    CHECK(s.tempo_bpm == doctest::Approx(120.0).epsilon(0.01));
    CHECK(s.tempo_confidence > 0.5f);
    AudioEvent e;
    int late = 0;
    while (audio().next_event(&e)) late += e.t_us > 4294967296ull ? 1 : 0;
    CHECK(s.spectrum_smooth[0] >= 0.0f);
    CHECK(s.beats > 15);
    CHECK(late >= 0);
}

TEST_CASE("audio: a hop of the wrong length is refused") {
    fresh();
    const int32_t words[32] = {};
    audio().process(words, 32, 1, Params());
    CHECK(audio().snapshot().updates == 0);
}
