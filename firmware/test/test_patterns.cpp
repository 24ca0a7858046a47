// What is promised of every ordinary pattern: mirrored, reacting to sound exactly when it says so, never black with
// music, obeying brightness, fast enough; and the golden pixels of the still ones.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/colour.h"
#include "core/palettes.h"
#include "core/pattern.h"
#include "signals.h"

using namespace k1;
using namespace test;

namespace {

using Bytes = std::array<uint8_t, 3 * kLeds>;

// Runs one pattern against the audio front end: 200 audio frames and 166.7 light frames a second, as on the device.
class Stage {
  public:
    Params params;
    std::vector<Bytes> shown;

    explicit Stage(const Pattern& pattern) : pattern_(pattern) {
        audio().begin();
        pipeline_.begin();
        std::memset(static_cast<void*>(leds_), 0, sizeof leds_);
        std::memset(raw_, 0, sizeof raw_);
        if (pattern.start != nullptr) pattern.start();
    }

    void play(const Signal& signal, double seconds) {
        player_.params = params;
        player_.play(signal, seconds, [&](double) {
            clock_s_ += 0.005;
            while (frame_s_ < clock_s_) frame();
        });
    }

    double mean_light(size_t last_frames) const {
        double sum = 0.0;
        for (size_t k = shown.size() - last_frames; k < shown.size(); ++k)
            for (uint8_t b : shown[k]) sum += b;
        return sum / static_cast<double>(last_frames * 3 * kLeds);
    }

    double change(size_t last_frames) const {   // mean absolute difference of successive frames
        double sum = 0.0;
        for (size_t k = shown.size() - last_frames + 1; k < shown.size(); ++k)
            for (size_t i = 0; i < 3 * kLeds; ++i) sum += std::abs(int(shown[k][i]) - int(shown[k - 1][i]));
        return sum / static_cast<double>((last_frames - 1) * 3 * kLeds);
    }

  private:
    void frame() {
        const AudioSnapshot heard = audio().snapshot();
        FrameContext f = {leds_, raw_, frame_s_, seq_ == 0 ? 0.0f : 0.006f, seq_, params, heard};
        pattern_.render(f);
        Bytes out;
        if (pattern_.raw) std::memcpy(out.data(), raw_, sizeof raw_);
        else pipeline_.process(leds_, out.data(), params, 0.006f);
        shown.push_back(out);
        ++seq_;
        frame_s_ += 0.006;
    }

    const Pattern& pattern_;
    Player player_;
    ColourPipeline pipeline_;
    Rgb leds_[kLeds];
    uint8_t raw_[3 * kLeds];
    double clock_s_ = 0.0, frame_s_ = 0.0;
    uint32_t seq_ = 0;
};

Signal music(std::mt19937& rng) {
    const Signal beat = four_on_floor(120.0, 0.3, rng), chord_a = tone(220.0, 0.05), chord_b = tone(329.6, 0.05);
    const Signal top = tone(1318.5, 0.04);
    return [=](double t) { return beat(t) + chord_a(t) + chord_b(t) + (std::fmod(t, 1.0) < 0.5 ? top(t) : 0.0); };
}

bool is_hil(const Pattern& p) { return std::string(p.id).compare(0, 4, "hil_") == 0; }

uint32_t pixel(const Bytes& b, size_t i) { return uint32_t(b[3 * i]) << 16 | uint32_t(b[3 * i + 1]) << 8 | b[3 * i + 2]; }

}  // namespace

TEST_CASE("patterns: the list") {
    const char* order[] = {"departure", "lava", "twilight", "spectrum", "octave", "vu", "pulse", "bloom", "perlin",
                           "metronome", "breathe", "hil_solid", "hil_ramp", "hil_index", "hil_counter", "hil_flash"};
    REQUIRE(kPatternCount == 16);
    for (size_t i = 0; i < kPatternCount; ++i) {
        CHECK(std::string(kPatterns[i].id) == order[i]);
        CHECK(pattern_find(order[i]) == static_cast<int>(i));
        CHECK(kPatterns[i].raw == is_hil(kPatterns[i]));
        CHECK(std::strlen(kPatterns[i].description) > 10);
    }
    CHECK(std::string(kPatterns[kBootPattern].id) == "spectrum");
    CHECK(pattern_find("no_such") == -1);
}

TEST_CASE("patterns: mirrored about the centre in every frame, byte for byte") {
    for (size_t k = 0; k < kPatternCount; ++k) {
        if (is_hil(kPatterns[k])) continue;
        CAPTURE(kPatterns[k].id);
        std::mt19937 rng(1);
        Stage stage(kPatterns[k]);
        stage.params.color_range = 0.6f;
        stage.play(music(rng), 3.0);
        bool mirrored = true;
        for (const Bytes& b : stage.shown)
            for (size_t i = 0; i < kLeds / 2; ++i) mirrored = mirrored && pixel(b, i) == pixel(b, 159 - i);
        CHECK(mirrored);
    }
}

TEST_CASE("patterns: react to sound exactly when they say so") {
    for (size_t k = 0; k < kPatternCount; ++k) {
        CAPTURE(kPatterns[k].id);
        std::mt19937 rng(1);
        Stage loud(kPatterns[k]), quiet(kPatterns[k]);
        if (kPatterns[k].start != nullptr) kPatterns[k].start();
        loud.play(music(rng), 3.0);
        if (kPatterns[k].start != nullptr) kPatterns[k].start();
        audio().begin();
        quiet.play(silence(), 3.0);
        CHECK((loud.shown != quiet.shown) == kPatterns[k].audio_reactive);
        if (kPatterns[k].audio_reactive) CHECK(loud.mean_light(300) > 1.3 * quiet.mean_light(300));
    }
}

TEST_CASE("patterns: not black with music, with noise, with a tone; moving ones move") {
    for (size_t k = 0; k < kPatternCount; ++k) {
        if (is_hil(kPatterns[k])) continue;
        CAPTURE(kPatterns[k].id);
        const bool still = k <= 2;
        std::mt19937 rng(4);
        for (int sound = 0; sound < 3; ++sound) {
            CAPTURE(sound);
            Stage stage(kPatterns[k]);
            stage.play(sound == 0 ? music(rng) : sound == 1 ? pink(0.1, rng) : tone(440.0, 0.1), 4.0);
            CHECK(stage.mean_light(400) > 3.0);
            for (size_t i = stage.shown.size() - 400; i < stage.shown.size(); ++i) CHECK(stage.shown[i] != Bytes{});
            if (!still && sound == 0) CHECK(stage.change(400) > 0.05);
        }
    }
}

TEST_CASE("patterns: in silence the reactive ones rest: a steady glow, or slow and dim for perlin") {
    for (const char* id : {"spectrum", "octave", "vu", "pulse", "bloom", "metronome"}) {
        CAPTURE(id);
        std::mt19937 rng(6);
        Stage stage(kPatterns[pattern_find(id)]);
        stage.params.dithering = 0.0f;
        stage.play(music(rng), 6.0);
        stage.play(silence(), 12.0);
        CHECK(stage.change(100) == 0.0);
        CHECK(stage.mean_light(100) > 1.0);       // brightness_floor 0.05 of full light, tinted
        CHECK(stage.mean_light(100) < 13.0);
        stage.params.brightness_floor = 0.0f;
        stage.play(silence(), 2.0);
        CHECK(stage.shown.back() == Bytes{});
    }
    Stage perlin(kPatterns[pattern_find("perlin")]);
    perlin.play(silence(), 5.0);
    CHECK(perlin.change(300) > 0.0);
    CHECK(perlin.mean_light(300) < 20.0);
}

TEST_CASE("patterns: brightness scales the light of all ordinary patterns") {
    for (size_t k = 0; k < kPatternCount; ++k) {
        if (is_hil(kPatterns[k])) continue;
        CAPTURE(kPatterns[k].id);
        double light[2];
        int n = 0;
        for (float brightness : {1.0f, 0.4f}) {
            std::mt19937 rng(8);
            Stage stage(kPatterns[k]);
            stage.params.brightness = brightness;
            stage.play(music(rng), 3.0);
            light[n++] = stage.mean_light(300);
        }
        // Light goes with (0.3 + 0.7 b)^2 : 0.336.
        CHECK(light[1] / light[0] == doctest::Approx(0.336).epsilon(0.08));
    }
}

TEST_CASE("patterns: speed quickens what moves by itself") {
    for (const char* id : {"breathe", "perlin", "bloom", "pulse"}) {
        CAPTURE(id);
        double change[2];
        int n = 0;
        for (float speed : {0.1f, 0.9f}) {
            std::mt19937 rng(10);
            Stage stage(kPatterns[pattern_find(id)]);
            stage.params.dithering = 0.0f;
            stage.params.speed = speed;
            stage.play(music(rng), 8.0);
            change[n++] = stage.change(1000);
        }
        CHECK(change[1] > 1.15 * change[0]);
    }
    // Breathe: 8 s x (1/8)^speed from low to low.
    Stage stage(kPatterns[pattern_find("breathe")]);
    stage.params.speed = 0.5f;
    stage.params.softness = 0.0f;
    stage.params.dithering = 0.0f;
    stage.play(silence(), 7.0);
    std::vector<size_t> peaks;
    for (size_t i = 20; i + 20 < stage.shown.size(); ++i) {
        auto green = [&](size_t frame) { return int(stage.shown[frame][3 * 80 + 1]); };
        const bool peak = green(i) > green(i - 20) && green(i) >= green(i + 20);
        if (peak && (peaks.empty() || i - peaks.back() > 100)) peaks.push_back(i);
    }
    REQUIRE(peaks.size() >= 2);
    CHECK(static_cast<double>(peaks[1] - peaks[0]) * 0.006 == doctest::Approx(8.0 / std::sqrt(8.0)).epsilon(0.03));
}

TEST_CASE("patterns: a tone lights the spectrum at its place, bass in the middle") {
    for (double hz : {330.0, 880.0, 2000.0}) {
        Stage stage(kPatterns[pattern_find("spectrum")]);
        stage.params.saturation = 0.0f;
        stage.play(tone(hz, 0.1), 3.0);
        const Bytes& b = stage.shown.back();
        size_t top = 80;
        for (size_t i = 80; i < kLeds; ++i)
            if (b[3 * i] > b[3 * top]) top = i;
        const double bin = 12.0 * std::log2(hz / 77.78);
        CHECK(static_cast<double>(top - 80) == doctest::Approx(bin * 79.0 / 63.0).epsilon(0.03));
    }
}

TEST_CASE("patterns: golden pixels of the still ones, whatever is played") {
    struct Golden { const char* id; uint32_t led_0, led_40, led_79; };
    const Golden golden[] = {
        {"departure", 0x000A00, 0xB7C676, 0x090100},   // by hand from the gradient and the pipeline's formula
        {"lava", 0x060000, 0xD51900, 0xE1C66E},
        {"twilight", 0x00010D, 0x610835, 0xE16F1B},
    };
    for (const Golden& g : golden)
        for (int sound = 0; sound < 2; ++sound) {
            CAPTURE(g.id);
            std::mt19937 rng(12);
            Stage stage(kPatterns[pattern_find(g.id)]);
            stage.params.dithering = 0.0f;
            stage.play(sound == 0 ? silence() : music(rng), 1.5);
            CHECK(pixel(stage.shown.back(), 0) == g.led_0);
            CHECK(pixel(stage.shown.back(), 40) == g.led_40);
            CHECK(pixel(stage.shown.back(), 79) == g.led_79);
            CHECK(stage.change(50) == 0.0);
        }
}

TEST_CASE("patterns: palettes have names and colours, and colour, palette and saturation change what is seen") {
    for (size_t id = 0; id < kPaletteCount; ++id) {
        CHECK(std::strlen(palette_name(id)) > 1);
        for (float at : {-0.3f, 0.0f, 0.5f, 0.9999f, 1.0f, 7.2f}) {
            const Rgb c = palette_colour(id, at);
            CHECK(c.r >= 0.0f);
            CHECK(c.r <= 1.0f);
            CHECK(c.b >= 0.0f);
            CHECK(c.b <= 1.0f);
        }
    }
    CHECK(palette_name(99) == palette_name(0));
    const Rgb red = hue_colour(0.0f, 1.0f), green = hue_colour(1.0f / 3.0f, 1.0f), white = hue_colour(0.2f, 0.0f);
    CHECK(red.r == doctest::Approx(1.0));
    CHECK(red.g == doctest::Approx(0.0));
    CHECK(green.g == doctest::Approx(1.0));
    CHECK(green.r == doctest::Approx(0.0).epsilon(1e-5));
    CHECK(white.b == 1.0f);
    std::vector<Bytes> seen;
    for (int k = 0; k < 4; ++k) {
        Stage stage(kPatterns[pattern_find("breathe")]);
        stage.params.dithering = 0.0f;
        if (k == 1) stage.params.color = 0.8f;
        if (k == 2) stage.params.palette_id = 5.0f;
        if (k == 3) stage.params.saturation = 0.0f;
        stage.play(silence(), 1.0);
        for (const Bytes& other : seen) CHECK(other != stage.shown.back());
        seen.push_back(stage.shown.back());
    }
}

TEST_CASE("patterns: bloom runs along the strip when mirroring is off") {
    Stage stage(kPatterns[pattern_find("bloom")]);
    stage.params.mirror_mode = 0.0f;
    stage.params.brightness_floor = 0.0f;
    stage.play(tone(440.0, 0.2), 1.0);
    const Bytes& b = stage.shown.back();
    CHECK(pixel(b, 2) != 0);
    CHECK(pixel(b, 2) != pixel(b, 157));
}
