// The colour pipeline against its formula and its golden values.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "core/colour.h"
#include "core/power.h"

using namespace k1;

namespace {

using Bytes = std::array<uint8_t, 3 * kLeds>;

// A pipeline shown the same picture until it has settled (softness 0.25: 1 s is 80 time constants).
Bytes settled(const std::vector<Rgb>& picture, const Params& p, int frames = 170) {
    auto pipeline = std::make_unique<ColourPipeline>();
    pipeline->begin();
    Bytes out{};
    for (int i = 0; i < frames; ++i) pipeline->process(picture.data(), out.data(), p, 0.006f);
    return out;
}

std::vector<Rgb> flat(float v) { return std::vector<Rgb>(kLeds, Rgb{v, v, v}); }

uint32_t pixel(const Bytes& b, size_t i) { return uint32_t(b[3 * i]) << 16 | uint32_t(b[3 * i + 1]) << 8 | b[3 * i + 2]; }

Params plain() {
    Params p;
    p.dithering = 0.0f;
    return p;
}

double soft(double v) { return v > 0.75 ? 0.75 + 0.25 * std::tanh(4.0 * (v - 0.75)) : v; }

}  // namespace

TEST_CASE("colour: golden pixels") {
    Params p = plain();
    CHECK(pixel(settled(flat(1.0f), p), 0) == 0xE1C69F);
    CHECK(pixel(settled(flat(0.75f), p), 159) == 0x8F7E65);
    CHECK(pixel(settled(flat(0.0f), p), 80) == 0x000000);
    p.brightness = 0.0f;
    CHECK(pixel(settled(flat(1.0f), p), 79) == 0x14110E);
}

TEST_CASE("colour: every grey, warmth and brightness follows the formula") {
    for (float warmth : {0.0f, 0.4f, 1.0f})
        for (float brightness : {0.0f, 0.5f, 1.0f}) {
            Params p = plain();
            p.warmth = warmth;
            p.brightness = brightness;
            std::vector<Rgb> ramp(kLeds);
            for (size_t i = 0; i < kLeds; ++i) {
                const float v = static_cast<float>(i) / 120.0f;
                ramp[i] = {v, v, v};
            }
            const Bytes out = settled(ramp, p, 400);
            const double balance[3] = {1.0, 0.9375, 0.84}, warm[3] = {1.0, 0.4452, 0.1562};
            for (size_t i = 0; i < kLeds; ++i)
                for (size_t c = 0; c < 3; ++c) {
                    const double gain = (1.0 + (warm[c] - 1.0) * warmth) * balance[c] * (0.3 + 0.7 * brightness);
                    const double light = 255.0 * std::pow(soft(static_cast<double>(ramp[i].r)) * gain, 2.0);
                    CAPTURE(i);
                    CHECK(out[3 * i + c] >= std::floor(light - 0.002));
                    CHECK(out[3 * i + c] <= std::floor(light + 0.002));
                }
        }
}

TEST_CASE("colour: soft clip is the identity up to 0.75, smooth there, and never passes 1") {
    CHECK(soft_clip(0.75f) == 0.75f);
    CHECK(soft_clip(0.3f) == 0.3f);
    for (float v = 0.75f; v < 6.0f; v += 0.01f) {
        CHECK(soft_clip(v) == doctest::Approx(soft(static_cast<double>(v))).epsilon(1e-6));
        CHECK(soft_clip(v) <= 1.0f);
    }
    CHECK((soft_clip(0.751f) - soft_clip(0.75f)) == doctest::Approx(0.001).epsilon(0.01));
}

TEST_CASE("colour: hostile values give light within range, not wreckage") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    std::vector<Rgb> bad(kLeds, Rgb{1e30f, -5.0f, 0.5f});
    const Bytes out = settled(bad, plain());
    CHECK(out[0] == 255);
    CHECK(out[1] == 0);
    // One bad frame must not stay in the low-pass.
    auto pipeline = std::make_unique<ColourPipeline>();
    pipeline->begin();
    Bytes b{};
    std::vector<Rgb> broken(kLeds, Rgb{nan, nan, nan});
    pipeline->process(broken.data(), b.data(), plain(), 0.006f);
    for (int i = 0; i < 170; ++i) pipeline->process(flat(1.0f).data(), b.data(), plain(), 0.006f);
    CHECK(pixel(b, 3) == 0xE1C69F);
}

TEST_CASE("colour: the low-pass is as fast in time at any frame rate") {
    for (float softness : {0.0f, 0.25f, 1.0f}) {
        double at_40ms[2];
        int k = 0;
        for (int divide : {1, 4}) {
            auto pipeline = std::make_unique<ColourPipeline>();
            pipeline->begin();
            Params p = plain();
            p.softness = softness;
            Bytes out{};
            const int frames = 10 * divide;
            const float dt_s = 0.040f / static_cast<float>(frames);
            for (int i = 0; i < frames; ++i) pipeline->process(flat(0.7f).data(), out.data(), p, dt_s);
            at_40ms[k++] = out[0];
        }
        CAPTURE(softness);
        CHECK(std::fabs(at_40ms[0] - at_40ms[1]) <= 1.0);
        // K1: the step per 6 ms frame is 1 - exp(-2 pi fc / 100).
        const double fc = 0.5 + 14.5 * (1.0 - std::sqrt(static_cast<double>(softness)));
        const double v = 0.7 * (1.0 - std::exp(-2.0 * 3.14159265358979 * fc / 100.0 * 40.0 / 6.0));
        CHECK(std::fabs(at_40ms[0] - 255.0 * v * v) <= 1.5);
    }
}

TEST_CASE("colour: dithering gives the fraction back over time, and is off at 0") {
    for (float v : {0.2f, 0.35f, 0.61f}) {
        Params p;
        auto pipeline = std::make_unique<ColourPipeline>();
        pipeline->begin();
        Bytes out{};
        double sum = 0.0;
        int lowest = 255, highest = 0;
        for (int i = 0; i < 1170; ++i) {
            pipeline->process(flat(v).data(), out.data(), p, 0.006f);
            if (i < 170) continue;
            sum += out[0];
            lowest = out[0] < lowest ? out[0] : lowest;
            highest = out[0] > highest ? out[0] : highest;
        }
        const double light = 255.0 * std::pow(static_cast<double>(v), 2.0);
        CAPTURE(v);
        CHECK(sum / 1000.0 == doctest::Approx(light).epsilon(0.002));
        CHECK(lowest == static_cast<int>(light));
        CHECK(highest == static_cast<int>(light) + 1);
        p.dithering = 0.0f;
        for (int i = 0; i < 5; ++i) {
            pipeline->process(flat(v).data(), out.data(), p, 0.006f);
            CHECK(out[0] == static_cast<int>(light));
        }
    }
}

TEST_CASE("colour: led_offset rotates, both ways and beyond a whole turn") {
    std::vector<Rgb> one(kLeds, Rgb{0, 0, 0});
    one[10] = {1.0f, 1.0f, 1.0f};
    for (float offset : {0.0f, 1.0f, 25.0f, 155.0f, 160.0f, -1.0f, -11.0f, -160.0f}) {
        Params p = plain();
        p.led_offset = offset;
        const Bytes out = settled(one, p);
        const size_t lit = static_cast<size_t>((10 + static_cast<int>(offset) + 320) % 160);
        for (size_t i = 0; i < kLeds; ++i) CHECK(pixel(out, i) == (i == lit ? 0xE1C69Fu : 0u));
    }
}

TEST_CASE("power: the estimate") {
    Bytes b{};
    CHECK(estimate_ma(b.data()) == 320);
    b.fill(255);
    CHECK(estimate_ma(b.data()) == 320 + 2 * 160 * 60);   // 19.5 A
    b.fill(0);
    b[17] = 255;
    CHECK(estimate_ma(b.data()) == 360);
}

TEST_CASE("power: the cap dims evenly, holds, and leaves frames below it alone") {
    for (uint32_t cap : {0u, 300u, 1000u, 5000u, 19519u, 19520u, 40000u}) {
        Bytes b{};
        for (size_t i = 0; i < b.size(); ++i) b[i] = static_cast<uint8_t>(i % 2 != 0 ? 255 : 128);
        const Bytes before = b;
        const uint32_t wanted = estimate_ma(b.data());
        uint32_t ma = 0;
        const bool capped = limit_power(b.data(), cap, &ma);
        CAPTURE(cap);
        CHECK(ma == estimate_ma(b.data()));
        CHECK(capped == (cap != 0 && wanted > cap));
        if (!capped) {
            CHECK(b == before);
            continue;
        }
        CHECK(ma <= (cap > 320 ? cap : 320));
        if (cap > 320) CHECK(ma + 250 > cap);     // rounding 480 bytes down costs less than 480 x 20/255 x 2 mA
        if (cap >= 5000) CHECK(b[1] == doctest::Approx(b[0] * 255.0 / 128.0).epsilon(0.03));
    }
}
