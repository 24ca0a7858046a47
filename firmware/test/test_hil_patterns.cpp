// Decoders written from docs/hil-patterns.md: what they read must be what was sent.
#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <set>
#include <vector>

#include "core/pattern.h"

using namespace k1;

namespace {

using Bytes = std::array<uint8_t, 3 * kLeds>;

struct Show {
    Params params;
    AudioSnapshot heard = {};
    uint32_t seq = 0;
    const Pattern& pattern;
    Rgb leds[kLeds] = {};
    Bytes raw{};

    explicit Show(const char* id) : pattern(kPatterns[pattern_find(id)]) {
        if (pattern.start != nullptr) pattern.start();
    }
    const Bytes& frame(float dt_s = 0.006f) {
        FrameContext f = {leds, raw.data(), 0.006 * seq, dt_s, seq, params, heard};
        pattern.render(f);
        ++seq;
        return raw;
    }
};

bool lit(const Bytes& b, size_t led) { return b[3 * led] > 127; }

int count_lit(const Bytes& b) {
    int n = 0;
    for (size_t i = 0; i < kLeds; ++i) n += lit(b, i) ? 1 : 0;
    return n;
}

}  // namespace

TEST_CASE("hil_solid: colour, saturation and brightness as raw bytes") {
    Show show("hil_solid");
    show.params.color = 0.0f;
    show.params.saturation = 1.0f;
    CHECK(show.frame()[0] == 255);
    CHECK(show.frame()[1] == 0);
    CHECK(show.frame()[2] == 0);
    show.params.saturation = 0.0f;
    show.params.brightness = 0.5f;
    const Bytes& b = show.frame();
    for (uint8_t v : b) CHECK(v == 128);
}

TEST_CASE("hil_ramp: four groups of forty, from 0 to 255") {
    Show show("hil_ramp");
    const Bytes& b = show.frame();
    for (size_t i = 0; i < kLeds; ++i) {
        const size_t group = i / 40, k = i % 40;
        const int level = static_cast<int>(255.0 * static_cast<double>(k) / 39.0 + 0.5);
        for (size_t c = 0; c < 3; ++c) CHECK(b[3 * i + c] == (group == 3 || group == c ? level : 0));
    }
}

TEST_CASE("hil_index: a decoder reads every LED's index, through a wrong step") {
    Show show("hil_index");
    show.params.speed = 1.0f;                       // 40 ms a step
    std::vector<Bytes> steps;
    std::vector<int> length;
    for (int i = 0; i < 400; ++i) {
        const Bytes b = show.frame(0.005f);
        if (steps.empty() || steps.back() != b) {
            steps.push_back(b);
            length.push_back(0);
        }
        ++length.back();
    }
    REQUIRE(steps.size() > 40);
    CHECK(count_lit(steps[0]) == 160);
    CHECK(count_lit(steps[1]) == 0);
    CHECK(count_lit(steps[26]) == 160);             // 26 steps, then again
    CHECK(count_lit(steps[27]) == 0);
    int total = 0;
    for (size_t s = 0; s < 26; ++s) total += length[s];
    CHECK(total * 0.005 == doctest::Approx(26 * 0.040).epsilon(0.01));
    std::set<uint32_t> words;
    for (size_t led = 0; led < kLeds; ++led) {
        uint32_t word = 0;
        for (size_t bit = 0; bit < 12; ++bit) {
            const Bytes &direct = steps[2 + 2 * bit], &complement = steps[3 + 2 * bit];
            CHECK(lit(direct, led) != lit(complement, led));
            word |= uint32_t(lit(direct, led)) << bit;
        }
        uint32_t index = word & 0xFF;
        for (uint32_t shift : {4u, 2u, 1u}) index ^= index >> shift;
        CHECK(index == led);
        words.insert(word);
    }
    REQUIRE(words.size() == kLeds);
    for (uint32_t a : words)
        for (uint32_t b : words)
            if (a != b) CHECK(__builtin_popcount(a ^ b) >= 3);
}

TEST_CASE("hil_index: step length follows speed, brightness the level") {
    Show show("hil_index");
    show.params.brightness = 0.5f;
    int frames = 0;
    while (count_lit(show.frame(0.006f)) == 160) ++frames;
    CHECK(frames == 34);                            // 200 ms at speed 0.5, in frames of 6 ms
    Show again("hil_index");
    again.params.brightness = 0.5f;
    CHECK(again.frame()[0] == 128);
}

TEST_CASE("hil_counter: five copies of the frame number; one field changes in the code per frame") {
    Show show("hil_counter");
    uint32_t last_code = 0;
    for (uint32_t n : {0u, 1u, 2u, 3u, 100u, 101u, 4094u, 4095u, 4096u, 4097u, 70000u, 4294967295u}) {
        show.seq = n;
        const Bytes b = show.frame();
        for (size_t copy = 0; copy < 5; ++copy) {
            uint32_t fields = 0;
            for (size_t f = 0; f < 16; ++f) {
                const size_t led = copy * 32 + 2 * f;
                CHECK(lit(b, led) == lit(b, led + 1));
                fields |= uint32_t(lit(b, led)) << f;
            }
            CHECK((fields & 3u) == 1u);             // always on, always off
            uint32_t number = fields >> 2 & 0xFFF;
            if (copy == 0 && (n & 0xFFF) == ((n - 1) & 0xFFF) + 1 && n > 0 && last_code != 0)
                CHECK(__builtin_popcount(number ^ last_code) >= 1);
            last_code = number;
            const uint32_t ones = static_cast<uint32_t>(__builtin_popcount(fields >> 2 & 0x1FFF));
            CHECK(ones % 2 == 1);                   // code and parity field together
            for (uint32_t shift : {8u, 4u, 2u, 1u}) number ^= number >> shift;
            CHECK(number == (n & 0xFFF));
            CHECK((fields >> 15 & 1u) == (n & 1u)); // toggle
        }
    }
}

TEST_CASE("hil_flash: white while the newest hop is loud, black at once when it is not") {
    Show show("hil_flash");
    show.heard.valid = true;
    show.heard.hop_level = 0.019f;
    CHECK(count_lit(show.frame()) == 0);
    show.heard.hop_level = 0.021f;
    for (uint8_t v : show.frame()) CHECK(v == 255);
    show.heard.hop_level = 0.0f;
    for (uint8_t v : show.frame()) CHECK(v == 0);
    show.heard.hop_level = 0.5f;
    show.heard.valid = false;
    CHECK(count_lit(show.frame()) == 0);
}
