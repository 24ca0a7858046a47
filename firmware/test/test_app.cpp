// Start-up and supervision, over the fake hardware.
#include <doctest/doctest.h>

#include <memory>
#include <string>

#include "core/app.h"
#include "core/audio.h"
#include "core/confirm.h"
#include "core/frame.h"
#include "core/identity.h"
#include "core/stamp.h"
#include "core/supervisor.h"
#include "core/telemetry.h"
#include "fake_hal.h"

using namespace k1;

namespace {

void fresh_device() {
    fake::reset();
    fake::clock.now_us = 1000;
    telemetry().set_frames(false);
    telemetry().set_pixels(PixelMode::off);
    telemetry().pump();
    fake::console.out.clear();
}

std::string console() {
    telemetry().pump();
    return fake::console.out;
}

size_t count(const std::string& s, const std::string& what) {
    size_t n = 0;
    for (size_t at = s.find(what); at != std::string::npos; at = s.find(what, at + 1)) ++n;
    return n;
}

}  // namespace

TEST_CASE("app: start brings up hardware, tasks and the milestones in K1's words") {
    fresh_device();
    start();
    CHECK(fake::strip.begun);
    CHECK(fake::mic.rate_hz == kSampleRateHz);
    CHECK(fake::net.connects == 1);
    REQUIRE(fake::tasks.spawned.size() == 6);
    for (const hal::TaskSpec& t : fake::tasks.spawned) {
        const std::string name = t.name;
        CHECK(t.core == (name == "render" ? 1 : 0));
        if (name != "render" && name != "audio") CHECK(t.priority < 20);
    }
    const std::string out = console();
    size_t at = 0;
    for (const char* word : {"=== K1.reinvented Starting ===", "Loaded ", "Starting pattern: ", "Dual-core tasks created successfully", "$K1ID,1,", "Ready!"}) {
        at = out.find(word, at);
        CHECK_MESSAGE(at != std::string::npos, word);
    }
    CHECK(telemetry().lines_lost() == 0);
    CHECK_FALSE(boot_confirmation().pending());
}

TEST_CASE("app: a pending image has its timer before anything else can hang") {
    fresh_device();
    fake::slots.info.state = hal::SlotState::pending;
    start();
    CHECK(boot_confirmation().pending());
    CHECK(fake::system.alarm_at_us == 1000 + BootConfirmation::kTimerUs);
    fake::slots.info.state = hal::SlotState::valid;
    identity_begin();
    boot_confirmation().begin();
}

TEST_CASE("app: what cannot be done without ends in the chip's abort, a missing microphone does not") {
    fresh_device();
    fake::tasks.refuse = true;
    CHECK_THROWS_AS(start(), fake::Failed);
    fresh_device();
    fake::mic.begin_ok = false;
    start();
    CHECK(console().find("[ERR_25]") != std::string::npos);
}

TEST_CASE("supervisor: network changes are told with an ID, once each") {
    fresh_device();
    identity_begin();
    auto s = std::make_unique<Supervisor>();
    fake::net.up = false;
    s->look(fake::clock.now_us);
    CHECK(count(console(), "$K1ID,") == 0);
    fake::net.up = true;
    s->look(fake::clock.now_us);
    s->look(fake::clock.now_us);
    const std::string out = console();
    CHECK(count(out, "$K1ID,") == 1);
    CHECK(count(out, "Connected to SSID @ 192.168.1.23") == 1);
    fake::net.up = false;
    s->look(fake::clock.now_us);
    CHECK(count(console(), "WiFi connection lost") == 1);
}

TEST_CASE("supervisor: one heartbeat a second with what happened in it") {
    fresh_device();
    audio().begin();
    frame_loop().begin();
    auto s = std::make_unique<Supervisor>();
    for (int i = 0; i < 10; ++i) s->look(fake::clock.now_us);
    console();
    fake::console.out.clear();
    for (int i = 0; i < 7; ++i) frame_loop().step();
    for (int i = 0; i < 10; ++i) s->look(fake::clock.now_us);
    CHECK(count(console(), "[HEARTBEAT] frames=+7 audio=+0 ") == 1);
}
