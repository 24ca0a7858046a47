// The update receiver against the recorded exchanges of the espota client, and against everything that can go wrong on the way.
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/identity.h"
#include "core/md5.h"
#include "core/ota.h"
#include "core/telemetry.h"
#include "fake_hal.h"
#include "seed.h"

using namespace k1;

namespace {

constexpr char kMd5[] = "33d9712cc5eb0bf18a41ed54a908e412";   // of the 5000 bytes below
const hal::NetAddr kClient{0x7F000001u, 51234};

std::string invitation(size_t size = 5000, const std::string& md5 = kMd5) {
    return "0 41000 " + std::to_string(size) + " " + md5 + "\n";
}

std::string md5_hex(const std::string& s) {
    Md5 md5;
    md5.add(s.c_str());
    char hex[33];
    md5.finish_hex(hex);
    return hex;
}

struct Bench {
    std::unique_ptr<OtaReceiver> ota = std::make_unique<OtaReceiver>();
    std::string image;

    Bench() {
        fake::reset();
        fake::clock.now_us = 10000000;
        telemetry().pump();
        fake::console.out.clear();
        identity_begin();
        for (size_t i = 0; i < 5000; ++i) image += static_cast<char>(7 * i + 3);
        fake::clock.on_wait = [] { telemetry().pump(); };
        REQUIRE(ota->begin());
    }
    ~Bench() { fake::clock.on_wait = nullptr; }

    void poll() { ota->poll(fake::clock.now_us); }
    void udp(const std::string& text, hal::NetAddr from = kClient) {
        fake::datagram(OtaReceiver::kPort, text, from);
        poll();
    }
    // What the device said by UDP so far.
    std::vector<std::string> answers() const {
        std::vector<std::string> out;
        for (const auto& d : fake::net.udp.begin()->second.out) out.push_back(d.data);
        return out;
    }
    fake::Stream& tcp() { return fake::net.streams.at(fake::net.dialled.back().first); }
    // Sends the image in writes of `size`; returns the acknowledgements. The last poll restarts the device when all is well.
    std::string send(size_t size, bool* restarted, size_t most = SIZE_MAX) {
        *restarted = false;
        const hal::Handle h = fake::net.dialled.back().first;
        try {
            for (size_t at = 0; at < image.size() && at < most; at += size) {
                fake::send_to(h, image.substr(at, size));
                poll();
            }
        } catch (const fake::Restart&) {
            *restarted = true;
        }
        return fake::net.streams.at(h).out;
    }
    std::string log() {
        telemetry().pump();
        return fake::console.out;
    }
};

}  // namespace

TEST_CASE("ota: recorded exchange 'plain'") {
    Bench b;
    b.udp(invitation());
    CHECK(b.answers() == std::vector<std::string>{"OK"});
    REQUIRE(fake::net.dialled.size() == 1);
    CHECK(fake::net.dialled[0].second.ip == kClient.ip);
    CHECK(fake::net.dialled[0].second.port == 41000);
    bool restarted = false;
    const uint64_t before_us = fake::clock.now_us;
    CHECK(b.send(1024, &restarted) == "1024" "1024" "1024" "1024" "904" "OK");
    CHECK(restarted);
    CHECK(fake::clock.now_us - before_us >= 100000);
    CHECK(fake::slots.finished);
    CHECK(std::string(fake::slots.image.begin(), fake::slots.image.end()) == b.image);
    const std::string log = b.log();
    CHECK(log.find("[0] OTA Update starting...") != std::string::npos);
    CHECK(log.find("[0] Progress: 100%") != std::string::npos);
    CHECK(log.find("[0] OTA Update complete!") != std::string::npos);
}

TEST_CASE("ota: recorded exchange 'split-acks': one count per read") {
    Bench b;
    b.udp(invitation());
    bool restarted = false;
    CHECK(b.send(512, &restarted) == "512512512512512512512512512392OK");
    CHECK(restarted);
}

TEST_CASE("ota: recorded exchange 'md5-mismatch'") {
    Bench b;
    b.udp(invitation());
    b.image[4999] = static_cast<char>(b.image[4999] ^ 1);
    bool restarted = false;
    CHECK(b.send(1024, &restarted) == "1024102410241024904MD5 Check Failed\r\n");
    CHECK_FALSE(restarted);
    CHECK(b.tcp().closed);
    CHECK_FALSE(fake::slots.finished);
    CHECK(fake::slots.aborted);
    CHECK(b.log().find("OTA Error[4]: End Failed") != std::string::npos);
    CHECK(b.ota->state() == OtaReceiver::State::idle);
    b.image[4999] = static_cast<char>(b.image[4999] ^ 1);      // and the next one succeeds
    b.udp(invitation());
    b.send(1024, &restarted);
    CHECK(restarted);
}

TEST_CASE("ota: recorded exchange 'password', then 'wrong-password'") {
    Bench b;
    fake::kv["k1/ota_pass"] = "bench-secret";
    b.udp(invitation());
    REQUIRE(b.answers().size() == 1);
    const std::string challenge = b.answers()[0];
    REQUIRE(challenge.size() == 37);
    CHECK(challenge.substr(0, 5) == "AUTH ");
    CHECK(fake::net.dialled.empty());
    const std::string cnonce = "49a061d60b620f9d0010e04e0e1d99e2";
    const auto response = [&](const std::string& password, const std::string& nonce) {
        return "200 " + cnonce + " " + md5_hex(md5_hex(password) + ":" + nonce + ":" + cnonce) + "\n";
    };
    // The digest rule itself, on the recorded numbers.
    CHECK(response("bench-secret", "25f9e794323b453885f5181f1b624d0b") == "200 " + cnonce + " ccd103f89bdab8114bfe5f61222bb3fc\n");
    b.udp(response("bench-secret", challenge.substr(5)), {kClient.ip, 9});     // somebody else's port
    CHECK(b.answers().size() == 1);
    b.udp(response("bench-secret", challenge.substr(5)));
    CHECK(b.answers()[1] == "OK");
    bool restarted = false;
    b.send(1024, &restarted);
    CHECK(restarted);

    Bench c;
    fake::kv["k1/ota_pass"] = "bench-secret";
    c.udp(invitation());
    const std::string nonce = c.answers()[0].substr(5);
    c.udp(response("other", nonce));
    CHECK(c.answers()[1] == "Authentication Failed");
    CHECK(fake::net.dialled.empty());
    CHECK(c.log().find("OTA Error[0]: Auth Failed") != std::string::npos);
    c.udp(response("bench-secret", nonce));                                     // the challenge is spent
    CHECK(c.answers().size() == 2);
    c.udp(invitation());
    CHECK(c.answers()[2].substr(0, 5) == "AUTH ");
    CHECK(c.answers()[2].substr(5) != nonce);
    CHECK(c.log().find("bench-secret") == std::string::npos);
}

TEST_CASE("ota: a challenge without an answer is forgotten") {
    Bench b;
    fake::kv["k1/ota_pass"] = "x";
    b.udp(invitation());
    CHECK(b.ota->state() == OtaReceiver::State::challenged);
    fake::clock.now_us += OtaReceiver::kAuthUs;
    b.poll();
    CHECK(b.ota->state() == OtaReceiver::State::idle);
}

TEST_CASE("ota: recorded exchange 'refused-begin': OK, then no connection, and the log says why") {
    Bench b;
    b.udp(invitation(0x1E0001));
    CHECK(b.answers() == std::vector<std::string>{"OK"});
    CHECK(fake::net.dialled.empty());
    CHECK(b.log().find("OTA Error[1]: Begin Failed (no slot for 1966081 bytes; a slot holds 1966080)") != std::string::npos);

    Bench c;
    fake::slots.info.state = hal::SlotState::pending;
    identity_begin();
    c.udp(invitation());
    CHECK(fake::net.dialled.empty());
    CHECK(c.log().find("not confirmed yet") != std::string::npos);
}

TEST_CASE("ota: the sender does not listen") {
    Bench b;
    fake::net.connect_ok = false;
    b.udp(invitation());
    CHECK(fake::slots.aborted);
    CHECK(b.log().find("OTA Error[2]: Connect Failed") != std::string::npos);
    CHECK(b.ota->state() == OtaReceiver::State::idle);
}

TEST_CASE("ota: a stalled transfer hears its last count three times more, then it is over") {
    Bench b;
    b.udp(invitation());
    bool restarted = false;
    CHECK(b.send(1024, &restarted, 2048) == "10241024");
    for (int i = 1; i <= 3; ++i) {
        fake::clock.now_us += OtaReceiver::kStallUs - 1;
        b.poll();
        CHECK(b.tcp().out.size() == 8u + 4u * (static_cast<unsigned>(i) - 1));
        fake::clock.now_us += 1;
        b.poll();
        CHECK(b.tcp().out.size() == 8u + 4u * static_cast<unsigned>(i));
    }
    CHECK(b.ota->state() == OtaReceiver::State::receiving);
    fake::clock.now_us += OtaReceiver::kStallUs;
    b.poll();
    CHECK(b.tcp().closed);
    CHECK(fake::slots.aborted);
    CHECK(b.ota->state() == OtaReceiver::State::idle);
}

TEST_CASE("ota: late data after a repeat goes on where it was") {
    Bench b;
    b.udp(invitation());
    bool restarted = false;
    b.send(1024, &restarted, 1024);
    fake::clock.now_us += OtaReceiver::kStallUs;
    b.poll();
    const hal::Handle h = fake::net.dialled.back().first;
    fake::send_to(h, b.image.substr(1024));
    CHECK_THROWS_AS(b.poll(), fake::Restart);
    CHECK(fake::slots.finished);
}

TEST_CASE("ota: the sender goes away, the flash fails, the image is not valid") {
    Bench b;
    b.udp(invitation());
    bool restarted = false;
    b.send(1024, &restarted, 1024);
    b.tcp().peer_closed = true;
    b.poll();
    CHECK(fake::slots.aborted);
    CHECK(b.ota->state() == OtaReceiver::State::idle);

    Bench c;
    c.udp(invitation());
    fake::slots.write_ok = false;
    CHECK(c.send(1024, &restarted, 1024) == "Flash Write Failed\r\n");
    CHECK(fake::slots.aborted);

    Bench d;
    d.udp(invitation());
    fake::slots.finish_ok = false;
    CHECK(d.send(1024, &restarted) == "1024102410241024904Could Not Activate The Firmware\r\n");
    CHECK_FALSE(restarted);
}

TEST_CASE("ota: other datagrams are ignored, during an update all of them") {
    Bench b;
    for (const char* bad : {"", "\n", "hello", "0", "0 41000 5000", "0 41000 5000 33d9", "100 41000 5000 33d9712cc5eb0bf18a41ed54a908e412\n",
                            "0 0 5000 33d9712cc5eb0bf18a41ed54a908e412\n", "0 65536 5000 33d9712cc5eb0bf18a41ed54a908e412\n",
                            "0 41000 5000 zzd9712cc5eb0bf18a41ed54a908e412\n", "0  41000 5000 33d9712cc5eb0bf18a41ed54a908e412\n",
                            "0 41000 99999999999 33d9712cc5eb0bf18a41ed54a908e412\n", "200 a b\n", "0 41000 5000 33d9712cc5eb0bf18a41ed54a908e412 x\n"})
        b.udp(bad);
    CHECK(b.answers().empty());
    b.udp(invitation());
    b.udp(invitation(), {0x0A000001u, 7});
    CHECK(b.answers().size() == 1);
    CHECK(fake::net.dialled.size() == 1);
    std::mt19937 rng(test::fresh_seed("ota: datagrams"));
    Bench c;
    for (int round = 0; round < 3000; ++round) {
        std::string s = invitation();
        for (unsigned n = 1 + rng() % 3; n > 0; --n) s[rng() % s.size()] = static_cast<char>("0 9x\n\xFF"[rng() % 6]);
        if (rng() % 4 == 0) s.resize(rng() % s.size());
        fake::datagram(OtaReceiver::kPort, s, kClient);
        c.poll();
        if (c.ota->state() != OtaReceiver::State::receiving) continue;
        c.tcp().peer_closed = true;    // a mutation that is still a good invitation: back to the start
        c.poll();
    }
}

TEST_CASE("ota: an empty image is refused") {
    Bench b;
    b.udp(invitation(0));
    CHECK(fake::net.dialled.empty());
    CHECK(b.log().find("Begin Failed") != std::string::npos);
}
