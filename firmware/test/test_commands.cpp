// Console commands: one answer each, however the bytes come; nothing secret comes back.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/audio.h"
#include "core/commands.h"
#include "core/console.h"
#include "core/frame.h"
#include "core/identity.h"
#include "core/line_reader.h"
#include "core/params.h"
#include "core/pattern.h"
#include "core/stamp.h"
#include "core/telemetry.h"
#include "fake_hal.h"
#include "seed.h"

using namespace k1;

namespace {

struct Bench {
    Bench() {
        fake::reset();
        fake::clock.now_us = 3000000;
        params().reset();
        audio().begin();
        frame_loop().begin();
        identity_begin();
        telemetry().set_frames(false);
        telemetry().set_pixels(PixelMode::off);
        telemetry().pump();
        fake::console.out.clear();
    }
};

// The answer without "$K1" and CRC; empty when there is none.
std::string say(const std::string& line) {
    Reply reply;
    command_line(line.data(), line.size(), &reply);
    const std::string text(reply.text, reply.n);
    return reply.n == 0 ? "" : text.substr(3, text.rfind('*') - 3);
}

std::vector<std::string> lines_of(const std::string& bytes, unsigned* too_long) {
    LineReader reader;
    std::vector<std::string> out;
    for (const char c : bytes) {
        const LineReader::Event e = reader.take(static_cast<uint8_t>(c));
        if (e == LineReader::Event::line) out.push_back(std::string(reader.text(), reader.size()));
        if (e == LineReader::Event::too_long) ++*too_long;
    }
    return out;
}

}  // namespace

TEST_CASE("line reader: lines, ends, and one report for a line that is too long") {
    unsigned too_long = 0;
    CHECK(lines_of("id\r\n\nsync a\nrest", &too_long) == std::vector<std::string>{"id", "", "sync a"});
    CHECK(too_long == 0);
    CHECK(lines_of(std::string(160, 'a') + "\nid\n", &too_long) == std::vector<std::string>{std::string(160, 'a'), "id"});
    CHECK(too_long == 0);
    CHECK(lines_of(std::string(161, 'a') + "\nid\n", &too_long) == std::vector<std::string>{"id"});
    CHECK(too_long == 1);
    CHECK(lines_of(std::string(5000, 'a') + "\nid\n", &too_long) == std::vector<std::string>{"id"});
    CHECK(too_long == 2);
}

TEST_CASE("commands: what each one does") {
    Bench b;
    CHECK(say("telemetry on") == "ACK,telemetry,on");
    CHECK(telemetry().frames_on());
    CHECK(say("  telemetry \t off ") == "ACK,telemetry,off");
    CHECK_FALSE(telemetry().frames_on());
    CHECK(say("pixels once") == "ACK,pixels,once");
    CHECK(say("sync a1B2") == "SYN,a1B2,3000000");
    CHECK(say("select 2") == std::string("ACK,select,") + kPatterns[2].id);
    CHECK(frame_loop().selected() == 2);
    CHECK(say(std::string("select ") + kPatterns[0].id) == std::string("ACK,select,") + kPatterns[0].id);
    CHECK(say("param speed 0.25") == "ACK,param,speed=0.25");
    CHECK(say("param speed 9") == "ACK,param,speed=1");
    CHECK(params().read().speed == 1.0f);
    CHECK(say("reset") == "ACK,reset,defaults");
    CHECK(params().read().speed == 0.5f);
    CHECK(say("latch 300") == "ACK,latch,300");
    CHECK(frame_loop().latch_us() == 300);
    CHECK(say("cap 1000") == "ACK,cap,1000");
    CHECK(frame_loop().power_cap_ma() == 1000);
    CHECK(say("cap 0") == "ACK,cap,0");
    CHECK(say("clock 4294900000") == "ACK,clock,4294900000");
    CHECK(say("sync x") == "SYN,x,4294900000");
    CHECK(say("id").substr(0, 5) == "ID,1,");
    CHECK(say("") == "");
    CHECK(say("   ") == "");
    frame_loop().set_latch_us(60);
}

TEST_CASE("commands: refusals name the verb and a reason") {
    Bench b;
    CHECK(say("frobnicate 1 2 3 4 5") == "NAK,frobnicate,unknown_command");
    CHECK(say("bad,verb*$") == "NAK,bad_verb__,unknown_command");
    CHECK(say("ID") == "NAK,ID,unknown_command");
    CHECK(say("telemetry") == "NAK,telemetry,missing_word");
    CHECK(say("telemetry on off") == "NAK,telemetry,surplus_word");
    CHECK(say("telemetry maybe") == "NAK,telemetry,bad_value");
    CHECK(say("pixels yes") == "NAK,pixels,bad_value");
    CHECK(say("sync 0123456789abcdefg") == "NAK,sync,bad_value");
    CHECK(say("sync a-b") == "NAK,sync,bad_value");
    CHECK(say("select nope") == "NAK,select,unknown_pattern");
    CHECK(say("select 255") == "NAK,select,unknown_pattern");
    CHECK(say("select -1") == "NAK,select,unknown_pattern");
    CHECK(say("param volume 1") == "NAK,param,unknown_param");
    CHECK(say("param speed nan") == "NAK,param,bad_value");
    CHECK(say("param speed") == "NAK,param,missing_word");
    CHECK(say("latch 49") == "NAK,latch,bad_value");
    CHECK(say("latch 1001") == "NAK,latch,bad_value");
    CHECK(say("cap -1") == "NAK,cap,bad_value");
    CHECK(say("clock 99999999999999999999") == "NAK,clock,bad_value");
    Reply reply;
    command_too_long(&reply);
    CHECK(std::string(reply.text, reply.n).substr(0, 17) == "$K1NAK,line,too_l");
}

TEST_CASE("commands: Wi-Fi credentials are stored and never come back") {
    Bench b;
    CHECK(say("wifi My%20Net p%40ssw%25rd-1") == "ACK,wifi,stored");
    CHECK(fake::kv["wifi_creds/ssid"] == "My Net");
    CHECK(fake::kv["wifi_creds/pass"] == "p@ssw%rd-1");
    CHECK(fake::kv["device_state/provisioned"] == "1");
    CHECK(fake::net.connects == 1);
    CHECK(say("wifi Cafe -") == "ACK,wifi,stored");
    CHECK(fake::kv["wifi_creds/pass"] == "");
    for (const char* bad : {"wifi net short", "wifi net %zz345678", "wifi %00net 12345678"}) CHECK_MESSAGE(say(bad) == "NAK,wifi,bad_value", bad);
    CHECK(say("wifi " + std::string(33, 'n') + " 12345678") == "NAK,wifi,bad_value");
    CHECK(say("wifi net") == "NAK,wifi,missing_word");
    CHECK(fake::net.connects == 2);
    telemetry().pump();
    CHECK(fake::console.out.find("Net") == std::string::npos);
    CHECK(fake::console.out.find("ssw") == std::string::npos);
}

TEST_CASE("commands: the API's key is stored, taken away, and never comes back") {
    Bench b;
    CHECK(say("apikey -") == "ACK,apikey,removed");
    CHECK(say("apikey correct-horse_battery") == "ACK,apikey,stored");
    CHECK(fake::kv["k1/api_key"] == "correct-horse_battery");
    for (const char* bad : {"apikey short", "apikey has!characters-outside", "apikey -----"}) CHECK_MESSAGE(say(bad) == "NAK,apikey,bad_value", bad);
    CHECK(say("apikey " + std::string(65, 'k')) == "NAK,apikey,bad_value");
    CHECK(say("apikey") == "NAK,apikey,missing_word");
    CHECK(fake::kv["k1/api_key"] == "correct-horse_battery");
    telemetry().pump();
    CHECK(fake::console.out.find("horse") == std::string::npos);
    CHECK(say("apikey -") == "ACK,apikey,removed");
    CHECK(fake::kv.count("k1/api_key") == 0);
}

TEST_CASE("console: any split of the bytes gives the same answers") {
    std::mt19937 rng(test::fresh_seed("console: splits"));
    const std::string text = "sync a\r\n\r\nlatch 60\nnonsense\n" + std::string(170, 'x') + "\nsync b\n";
    std::string expected;
    for (int round = 0; round < 200; ++round) {
        Bench b;
        for (size_t at = 0; at < text.size();) {
            const size_t n = round == 0 ? text.size() : 1 + rng() % 12;
            fake::console_type(text.substr(at, n));
            at += n;
            while (!fake::console.in.empty()) console_step(0);
            telemetry().pump();
        }
        if (round == 0) expected = fake::console.out;
        REQUIRE(fake::console.out == expected);
    }
    CHECK(expected.find("$K1SYN,a,3000000*") == 0);
    CHECK(expected.find("$K1NAK,nonsense,unknown_command*") != std::string::npos);
    CHECK(expected.find("$K1NAK,line,too_long*") != std::string::npos);
    CHECK(std::count(expected.begin(), expected.end(), '\n') == 5);
}

TEST_CASE("console: reboot answers first") {
    Bench b;
    fake::clock.on_wait = [] { telemetry().pump(); };
    fake::console_type("reboot\n");
    CHECK_THROWS_AS(console_step(0), fake::Restart);
    CHECK(fake::console.out.find("$K1ACK,reboot,now*") == 0);
    CHECK(fake::clock.now_us >= 3100000);
    fake::clock.on_wait = nullptr;
}

TEST_CASE("console: a reply waits for a place in the queue") {
    Bench b;
    while (telemetry().line("filler\r\n", 8)) {
    }
    unsigned waits = 0;
    fake::clock.on_wait = [&] {
        ++waits;
        telemetry().pump();
    };
    fake::console_type("sync late\n");
    console_step(0);
    fake::clock.on_wait = nullptr;
    telemetry().pump();
    CHECK(waits > 0);
    CHECK(fake::console.out.find("$K1SYN,late,") != std::string::npos);
}
