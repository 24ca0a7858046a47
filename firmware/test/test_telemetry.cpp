// Sentences, log lines, queues: what comes out, and that everything that does not is counted.
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/audio.h"
#include "core/build_info.h"
#include "core/crc.h"
#include "core/identity.h"
#include "core/line_queue.h"
#include "core/log.h"
#include "core/sentence.h"
#include "core/stamp.h"
#include "hal/clock.h"
#include "core/telemetry.h"
#include "fake_hal.h"

using namespace k1;

namespace {

struct Found {
    std::string type;
    std::vector<std::string> fields;
};

// The good sentences of a console text, by the rules of docs/telemetry.md.
std::vector<Found> sentences(const std::string& text) {
    std::vector<Found> out;
    for (size_t at = 0; at < text.size();) {
        size_t end = text.find("\r\n", at);
        if (end == std::string::npos) break;
        const std::string line = text.substr(at, end - at);
        at = end + 2;
        const size_t dollar = line.rfind("$K1"), star = line.rfind('*');
        if (dollar == std::string::npos || star == std::string::npos) continue;
        const std::string inner = line.substr(dollar + 1, star - dollar - 1);
        char crc[8];
        std::snprintf(crc, sizeof crc, "%04X", crc16(reinterpret_cast<const uint8_t*>(inner.data()), inner.size()));
        if (line.substr(star + 1) != crc) continue;
        Found f;
        size_t from = 2;
        for (size_t i = 2; i <= inner.size(); ++i) {
            if (i < inner.size() && inner[i] != ',') continue;
            if (f.type.empty()) f.type = inner.substr(from, i - from);
            else f.fields.push_back(inner.substr(from, i - from));
            from = i + 1;
        }
        out.push_back(f);
    }
    return out;
}

struct Bench {
    std::unique_ptr<Telemetry> t = std::make_unique<Telemetry>();
    uint8_t rgb[kLeds * 3];
    uint32_t seq = 0;

    Bench() {
        fake::reset();
        fake::clock.now_us = 5000000;
        audio().begin();
        for (size_t i = 0; i < sizeof rgb; ++i) rgb[i] = static_cast<uint8_t>(i);
    }
    void frame() {
        FrameRecord r = {};
        r.seq = seq++;
        r.t_us = fake::clock.now_us;
        r.render_us = 310;
        r.quantize_us = 95;
        r.transmit_us = 4860;
        r.heap_free = 200000;
        r.audio_us = fake::clock.now_us - 3000;
        r.pattern = 4;
        r.sent = true;
        t->frame(r, rgb);
    }
};

}  // namespace

TEST_CASE("sentence: the documented example, masking, and too small a buffer") {
    SentenceBuffer<64> s("SYN");
    s.word("42").u64(1234567);
    REQUIRE(s.finish());
    CHECK(std::string(s.data()) == "$K1SYN,42,1234567*4A99\r\n");
    SentenceBuffer<64> masked("ACK");
    masked.word("a,b*c$d\ne\x7F\xC3").word("123456", 3);
    REQUIRE(masked.finish());
    CHECK(std::string(masked.data()).substr(0, 21) == "$K1ACK,a_b_c_d_e__,12");
    SentenceBuffer<20> small("ACK");
    small.word("0123456789");
    CHECK_FALSE(small.finish());
}

TEST_CASE("telemetry: frames and pixels") {
    Bench b;
    b.frame();
    b.t->pump();
    CHECK(fake::console.out.empty());          // off at boot
    b.t->set_frames(true);
    b.frame();
    b.t->set_pixels(PixelMode::once);
    b.frame();
    b.frame();
    b.t->pump();
    const auto found = sentences(fake::console.out);
    REQUIRE(found.size() == 4);
    CHECK(found[0].type == "FRM");
    CHECK(found[0].fields == std::vector<std::string>{"1", "5000000", "310", "95", "4860", "200000", "4997000", "4", "0", "1"});
    CHECK(found[1].fields[0] == "2");
    CHECK(found[2].type == "PIX");
    CHECK(found[2].fields[0] == "2");
    CHECK(found[2].fields[2].size() == 640);
    CHECK(found[2].fields[2].substr(0, 8) == "AAECAwQF");
    CHECK(found[3].type == "FRM");
    CHECK(b.t->dropped() == 0);
}

TEST_CASE("telemetry: stamps carry the clock offset") {
    Bench b;
    b.t->set_frames(true);
    hal::clock_set(0x100000000u);
    b.frame();
    b.t->pump();
    const auto found = sentences(fake::console.out);
    REQUIRE(found.size() == 1);
    CHECK(found[0].fields[1] == "4294967296");
    CHECK(found[0].fields[6] == "4294964296");
}

TEST_CASE("telemetry: every lost sentence is counted and shows as a gap") {
    Bench b;
    b.t->set_frames(true);
    for (int i = 0; i < 50; ++i) b.frame();    // nobody pumps: 32 fit
    b.t->pump();
    CHECK(b.t->dropped() == 18);
    auto found = sentences(fake::console.out);
    REQUIRE(found.size() == 32);
    fake::console.out.clear();
    fake::console.room = 0;                    // the host stops reading
    for (int i = 0; i < 10; ++i) {
        b.frame();
        b.t->pump();
    }
    CHECK(b.t->dropped() == 28);
    CHECK(fake::console.out.empty());
    fake::console.room = 1 << 20;
    b.frame();
    b.t->pump();
    found = sentences(fake::console.out);
    REQUIRE(found.size() == 1);
    CHECK(found[0].fields[0] == "60");         // 0..31 came, 32..49 found no place, 50..59 no reader
    CHECK(found[0].fields[8] == "28");
    CHECK(b.t->dropped() + 33 == b.seq);       // nothing else got lost
}

TEST_CASE("telemetry: pixels have fewer places than frames, and their losses count too") {
    Bench b;
    b.t->set_frames(true);
    b.t->set_pixels(PixelMode::on);
    for (int i = 0; i < 20; ++i) b.frame();
    b.t->pump();
    size_t frames = 0, pixels = 0;
    for (const Found& f : sentences(fake::console.out)) (f.type == "FRM" ? frames : pixels) += 1;
    CHECK(frames == 20);
    CHECK(pixels == Telemetry::kPixels);
    CHECK(b.t->dropped() == 20 - Telemetry::kPixels);
}

TEST_CASE("telemetry: a sentence is written whole or not at all") {
    Bench b;
    b.t->set_pixels(PixelMode::on);
    for (size_t room = 0; room < 1000; room += 7) {
        fake::console.out.clear();
        fake::console.room = room;
        b.frame();
        b.t->pump();
        const std::string& out = fake::console.out;
        CHECK((out.empty() || (out.size() > 650 && out.substr(out.size() - 2) == "\r\n")));
    }
}

TEST_CASE("telemetry: beats and onsets come only while it is on") {
    Bench b;
    // Clicks through the real front end: 20 s of 120 BPM.
    std::vector<int32_t> words(kHop);
    uint64_t n = 0;
    const auto play = [&](double seconds) {
        for (const uint64_t end = n + static_cast<uint64_t>(seconds * kSampleRateHz); n < end;) {
            for (int32_t& w : words) {
                const double since = static_cast<double>(n % (kSampleRateHz / 2)) / kSampleRateHz;
                w = fake::i2s_word(since < 0.02 ? (n % 2 != 0 ? 0.5f : -0.5f) : 0.0f);
                ++n;
            }
            fake::clock.now_us += 5000;
            audio().process(words.data(), words.size(), fake::clock.now_us, Params());
            b.t->pump();
        }
    };
    play(5);
    CHECK(fake::console.out.empty());
    const uint32_t unwanted = b.t->events_taken();
    CHECK(unwanted > 0);
    b.t->set_frames(true);
    play(5);
    const auto found = sentences(fake::console.out);
    size_t onsets = 0;
    for (const Found& f : found) {
        if (f.type == "ONS") {
            ++onsets;
            CHECK(f.fields.size() == 2);
        }
        if (f.type == "BEAT") CHECK(f.fields.size() == 3);
    }
    CHECK(onsets > 0);
    CHECK(found.size() == b.t->events_taken() - unwanted);
}

TEST_CASE("log lines: form, time, and lines that are too long") {
    TextBuffer<20> time;
    log_time(time, 86400000u + 3723004u);
    CHECK(std::string(time.c_str()) == "[01:02:03.004] ");
    fake::reset();
    fake::clock.now_us = 61002000;
    telemetry().pump();
    fake::console.out.clear();
    LogLine(Severity::warn, 'W').s("rssi ").u(7).s(" ").r(0.5, 2);
    LogLine(Severity::info, '0').s(std::string(500, 'x').c_str());
    telemetry().pump();
    const std::string out = fake::console.out;
    CHECK(out.substr(0, out.find("\r\n")) == "[00:01:01.002] WARN  [W] rssi 7 0.5");
    CHECK(out.substr(out.size() - 3) == "x\r\n");
    CHECK(out.size() < 300);
}

TEST_CASE("line queue: order, bounds, and a line that is not whole yet") {
    auto q = std::make_unique<LineQueue>();
    fake::reset();
    size_t n = 0;
    CHECK(q->front(&n) == nullptr);
    for (size_t i = 0; i < LineQueue::kDepth; ++i) CHECK(q->push(std::to_string(i).c_str(), std::to_string(i).size()));
    CHECK_FALSE(q->push("x", 1));
    CHECK(q->lost() == 1);
    const std::string large(LineQueue::kLineBytes + 1, 'x');
    q->pop();
    CHECK_FALSE(q->push(large.data(), large.size()));
    CHECK(q->lost() == 2);
    for (size_t i = 1; i < LineQueue::kDepth; ++i) {
        const char* text = q->front(&n);
        REQUIRE(text != nullptr);
        CHECK(std::string(text, n) == std::to_string(i));
        q->pop();
    }
    CHECK(q->empty());
}

TEST_CASE("telemetry: a line waits for room ahead of sentences, but not for ever") {
    Bench b;
    b.t->set_frames(true);
    const std::string line(200, 'l');
    fake::console.room = 150;                  // enough for a frame sentence, not for the line
    b.t->line((line + "\r\n").c_str(), 202);
    b.frame();
    CHECK(b.t->pump() == 5);
    CHECK(fake::console.out.empty());          // the sentence did not take the room the line waits for
    CHECK(b.t->dropped() == 1);
    fake::console.room = 300;
    fake::clock.now_us += 10000;
    b.frame();
    b.t->pump();
    CHECK(fake::console.out.substr(0, 200) == line);
    CHECK(b.t->dropped() == 2);                // 98 bytes left: not enough
    fake::console.room = 0;
    for (int i = 0; i < 3; ++i) b.t->line("x\r\n", 3);
    b.t->pump();
    CHECK(b.t->lines_lost() == 0);
    fake::clock.now_us += 260000;
    b.t->pump();
    CHECK(b.t->lines_lost() == 3);             // a host that reads at all would have taken them by now
}

TEST_CASE("identity: the ID sentence") {
    fake::reset();
    fake::system.reason = hal::ResetReason::task_watchdog;
    fake::slots.info = {1, 0x1E0000, hal::SlotState::pending, {0xAB, 0xCD}};
    fake::kv["k1/boots"] = "not a number";
    fake::clock.now_us = 77;
    identity_begin();
    SentenceBuffer<320> s("ID");
    identity_fields(s);
    REQUIRE(s.finish());
    const auto found = sentences(s.data());
    REQUIRE(found.size() == 1);
    const auto& f = found[0].fields;
    REQUIRE(f.size() == 15);
    CHECK(f[0] == "1");
    CHECK(f[1] == kProject);
    CHECK(f[2] == kVersion);
    CHECK(f[3] == kGitCommit);
    CHECK(f[4] == kBuildTime);
    CHECK(f[5] == "abcd" + std::string(60, '0'));
    CHECK(f[6] == "task_watchdog");
    CHECK(f[7] == "1");
    CHECK(f[8].size() == 8);
    CHECK(f[9] == "02:4b:31:00:00:01");
    CHECK(f[10] == "192.168.1.23");
    CHECK(f[11] == "1");
    CHECK(f[12] == "pending");
    CHECK(f[13] == (kHilBuild ? "1" : "0"));
    CHECK(f[14] == "77");
    identity_begin();
    CHECK(identity().boot_count == 2);
    fake::net.up = false;
    identity_confirmed();
    SentenceBuffer<320> again("ID");
    identity_fields(again);
    REQUIRE(again.finish());
    CHECK(sentences(again.data())[0].fields[10] == "0.0.0.0");
    CHECK(sentences(again.data())[0].fields[12] == "valid");
}
