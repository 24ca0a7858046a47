// The frame loop over the fake strip and clock: pace, order, record, cap.
#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "core/frame.h"
#include "core/power.h"
#include "signals.h"

using namespace k1;

namespace {

std::vector<FrameRecord> seen;
std::vector<uint8_t> seen_rgb;

void watch(const FrameRecord& r, const uint8_t* rgb) {
    seen.push_back(r);
    seen_rgb.assign(rgb, rgb + 3 * kLeds);
}

FrameLoop& fresh(const char* id = "departure") {
    fake::reset();
    seen.clear();
    params().reset();
    audio().begin();
    FrameLoop& loop = frame_loop();
    loop.begin();
    loop.select(static_cast<uint8_t>(pattern_find(id)));
    loop.set_power_cap_ma(0);
    loop.set_latch_us(60);
    loop.set_observer(watch);
    return loop;
}

void run(FrameLoop& loop, int frames) {
    for (int i = 0; i < frames; ++i) loop.step();
}

void set(const char* name, float value) { params().set(*param_find(name), value); }

}  // namespace

TEST_CASE("frame: both strips get the same 160 LEDs, paced at frame_min_period_ms") {
    FrameLoop& loop = fresh();
    run(loop, 100);
    REQUIRE(fake::strip.sent.size() == 100);
    for (size_t i = 0; i < 100; ++i) {
        const fake::StripFrame& f = fake::strip.sent[i];
        CHECK(f.a.size() == 480);
        CHECK(f.a == f.b);
        CHECK(f.latch_us == 60);
        CHECK(f.start_us == 6000 * i);
    }
    set("frame_min_period_ms", 20.0f);
    run(loop, 2);
    CHECK(fake::strip.sent[101].start_us - fake::strip.sent[100].start_us == 20000);
}

TEST_CASE("frame: a period shorter than the wire takes gives what the wire allows") {
    FrameLoop& loop = fresh();
    set("frame_min_period_ms", 4.0f);
    run(loop, 50);
    for (size_t i = 1; i < 50; ++i) CHECK(fake::strip.sent[i].start_us - fake::strip.sent[i - 1].start_us == 160 * 30 + 60);
    loop.set_latch_us(300);
    run(loop, 2);
    CHECK(fake::strip.sent[51].start_us - fake::strip.sent[50].start_us == 160 * 30 + 300);
    loop.set_latch_us(1);
    CHECK(loop.latch_us() == 50);
    loop.set_latch_us(100000);
    CHECK(loop.latch_us() == 1000);
}

TEST_CASE("frame: after a late frame the schedule starts anew: no burst, no drift") {
    FrameLoop& loop = fresh();
    run(loop, 10);
    fake::advance_us(25000);
    run(loop, 10);
    std::vector<uint64_t> gaps;
    for (size_t i = 1; i < 20; ++i) gaps.push_back(fake::strip.sent[i].start_us - fake::strip.sent[i - 1].start_us);
    for (size_t i = 0; i < 9; ++i) CHECK(gaps[i] == 6000);
    CHECK(gaps[9] == 31000);
    for (size_t i = 10; i < gaps.size(); ++i) CHECK(gaps[i] >= 4860);
    for (size_t i = 11; i < gaps.size(); ++i) CHECK(gaps[i] == 6000);
}

TEST_CASE("frame: the record") {
    FrameLoop& loop = fresh();
    test::Player player;
    player.play(test::tone(440.0, 0.1), 0.05);
    const uint32_t before = frame_log().frames(), sent_before = frame_log().sent();
    run(loop, 3);
    REQUIRE(seen.size() == 3);
    for (uint32_t i = 0; i < 3; ++i) {
        CHECK(seen[i].seq == i);
        CHECK(seen[i].t_us == 6000 * i);
        CHECK(seen[i].transmit_us == 4860);
        CHECK(seen[i].heap_free == 320 * 1024);
        CHECK(seen[i].audio_us == (640 - 1) * 1000000 / 12800);
        CHECK(seen[i].pattern == 0);
        CHECK(seen[i].sent);
        CHECK_FALSE(seen[i].capped);
    }
    CHECK(frame_log().frames() == before + 3);
    CHECK(frame_log().sent() == sent_before + 3);
    CHECK(frame_log().last_sent_us() == 12000);
    fake::strip.fail = true;
    run(loop, 1);
    CHECK_FALSE(seen.back().sent);
    CHECK(frame_log().sent() == sent_before + 3);
    CHECK(frame_log().frames() == before + 4);
}

TEST_CASE("frame: the log keeps the newest, oldest first, and counts frames a second") {
    FrameLoop& loop = fresh();
    run(loop, 700);
    FrameRecord records[80];
    REQUIRE(frame_log().copy(records, 80) == FrameLog::kDepth);
    for (size_t i = 0; i < FrameLog::kDepth; ++i) CHECK(records[i].seq == 700 - FrameLog::kDepth + i);
    REQUIRE(frame_log().copy(records, 5) == 5);
    CHECK(records[4].seq == 699);
    uint64_t times[300];
    REQUIRE(frame_log().sent_times(times, 300) == 256);
    for (size_t i = 1; i < 256; ++i) CHECK(times[i] - times[i - 1] == 6000);
    CHECK(times[255] == 699 * 6000);
    CHECK(frame_log().fps() == doctest::Approx(166.67).epsilon(0.001));
    float fps[16];
    const size_t n = frame_log().fps_history(fps, 16);
    CHECK(n >= 4);
    CHECK(fps[n - 1] == doctest::Approx(166.67).epsilon(0.001));
}

TEST_CASE("frame: selection takes effect at the next frame; bad indices are refused") {
    FrameLoop& loop = fresh();
    run(loop, 1);
    CHECK_FALSE(loop.select(200));
    CHECK_FALSE(loop.select(static_cast<uint8_t>(kPatternCount)));
    CHECK(loop.selected() == 0);
    CHECK(loop.select(11));
    CHECK(loop.selected() == 11);
    run(loop, 1);
    CHECK(seen[0].pattern == 0);
    CHECK(seen[1].pattern == 11);
}

TEST_CASE("frame: raw patterns bypass the colour pipeline; last_frame is what was sent") {
    FrameLoop& loop = fresh("hil_ramp");
    set("brightness", 0.2f);
    set("led_offset", 7.0f);
    run(loop, 1);
    CHECK(fake::strip.sent[0].a[3 * 39] == 255);
    CHECK(fake::strip.sent[0].a[3 * 159 + 2] == 255);
    uint8_t rgb[480];
    uint32_t seq = 99;
    CHECK(loop.last_frame(rgb, sizeof rgb, &seq) == 480);
    CHECK(seq == 0);
    CHECK(std::memcmp(rgb, fake::strip.sent[0].a.data(), 480) == 0);
    CHECK(std::memcmp(rgb, seen_rgb.data(), 480) == 0);
    CHECK(loop.last_frame(rgb, 30, nullptr) == 30);
}

TEST_CASE("frame: the power cap acts on every pattern and says so") {
    FrameLoop& loop = fresh("hil_solid");
    set("saturation", 0.0f);
    run(loop, 1);
    CHECK(loop.power_ma() == 19520);
    CHECK_FALSE(seen.back().capped);
    const uint32_t before = loop.capped_frames();
    loop.set_power_cap_ma(2000);
    run(loop, 3);
    CHECK(seen.back().capped);
    CHECK(loop.capped_frames() == before + 3);
    CHECK(loop.power_ma() <= 2000);
    CHECK(estimate_ma(fake::strip.sent.back().a.data()) == loop.power_ma());
    loop.select(0);
    loop.set_power_cap_ma(500);
    run(loop, 100);
    CHECK(seen.back().capped);
    CHECK(loop.power_ma() <= 500);
    loop.set_power_cap_ma(0);
    run(loop, 1);
    CHECK_FALSE(seen.back().capped);
}

TEST_CASE("frame: in silence strips keep being sent") {
    FrameLoop& loop = fresh("spectrum");
    test::Player player;
    player.play(test::silence(), 3.0);
    run(loop, 200);
    for (const FrameRecord& r : seen) CHECK(r.sent);
    CHECK(fake::strip.sent.size() == 200);
}

TEST_CASE("frame: runs on past 71 min 35 s") {
    FrameLoop& loop = fresh("breathe");
    fake::clock.now_us = 4294967296ull - 3000000;
    loop.begin();
    run(loop, 1000);
    CHECK(fake::clock.now_us > 4294967296ull);
    const std::vector<fake::StripFrame>& sent = fake::strip.sent;
    for (size_t i = 1; i < sent.size(); ++i) CHECK(sent[i].start_us - sent[i - 1].start_us == 6000);
    CHECK(sent[999].a != sent[950].a);
    CHECK(frame_log().fps() == doctest::Approx(166.67).epsilon(0.001));
}
