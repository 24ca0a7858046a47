// The HTTP server over the fake network: connections, time limits, memory.
#include <doctest/doctest.h>

#include <memory>
#include <string>

#include "api_client.h"
#include "core/frame.h"
#include "core/http_server.h"
#include "seed.h"

using namespace k1;
using test::request_text;
using test::take_answer;

namespace {

struct Bench {
    std::unique_ptr<HttpServer> server = std::make_unique<HttpServer>();

    Bench() {
        fake::reset();
        static uint64_t start_us = 0;   // the rate limits remember earlier benches
        fake::clock.now_us = start_us += 1000000000;
        frame_loop().begin();
        REQUIRE(server->begin(80));
    }
    ~Bench() { CHECK(fake::system.blocks.empty()); }   // whatever happened, all memory came back
    void poll() { server->poll(fake::clock.now_us); }
    void wait_us(uint64_t us) {
        fake::clock.now_us += us;
        poll();
    }
    fake::Stream& stream(hal::Handle h) { return fake::net.streams.at(h); }
};

}  // namespace

TEST_CASE("http server: keep-alive and close") {
    Bench b;
    const hal::Handle h = fake::dial_in(80, request_text("GET", "/api/test-connection"));
    b.poll();
    auto a = take_answer(b.stream(h).out);
    CHECK(a.status == 200);
    CHECK(a.header.find("Connection: keep-alive\r\n") != std::string::npos);
    CHECK(a.header.find("Content-Type: application/json\r\n") != std::string::npos);
    CHECK(a.header.find("Access-Control-Allow-Origin: *\r\n") != std::string::npos);
    CHECK(a.has("\"status\":\"ok\""));
    b.wait_us(300000);
    fake::send_to(h, "GET /api/test-connection HTTP/1.1\r\nHost: k1\r\nConnection: close\r\n\r\n");
    b.poll();
    a = take_answer(b.stream(h).out);
    CHECK(a.status == 200);
    CHECK(a.header.find("Connection: close\r\n") != std::string::npos);
    CHECK(b.stream(h).closed);
    CHECK(b.server->open_connections() == 0);
}

TEST_CASE("http server: pipelined requests are answered in order") {
    Bench b;
    const hal::Handle h =
        fake::dial_in(80, request_text("GET", "/nothing") + request_text("OPTIONS", "/any") + request_text("POST", "/api/select", "{}") +
                              request_text("GET", "/api/led-tx/info"));
    b.poll();
    while (b.server->next_us(fake::clock.now_us) <= fake::clock.now_us) b.poll();
    std::string& out = b.stream(h).out;
    CHECK(take_answer(out).status == 404);
    const auto options = take_answer(out);
    CHECK(options.status == 204);
    CHECK(options.body.empty());
    CHECK(options.header.find("Access-Control-Allow-Methods: GET,POST,OPTIONS\r\n") != std::string::npos);
    CHECK(take_answer(out).has("missing_field"));
    CHECK(take_answer(out).has("\"capacity\":256"));
    CHECK(out.empty());
    CHECK_FALSE(b.stream(h).closed);
    fake::net.streams.at(h).peer_closed = true;
    b.poll();
    CHECK(b.stream(h).closed);
}

TEST_CASE("http server: bytes in any pieces, answers through any window") {
    const unsigned seed = test::fresh_seed("http server: pieces");
    std::mt19937 rng(seed);
    for (int round = 0; round < 60; ++round) {
        Bench b;
        const hal::Handle h = fake::dial_in(80);
        b.stream(h).chunk = 1 + rng() % 9;
        b.stream(h).window = 0;
        const std::string text = request_text("GET", "/api/leds/frame") + request_text("GET", "/api/params/bounds");
        for (size_t at = 0; at < text.size();) {
            const size_t n = 1 + rng() % 30;
            fake::send_to(h, text.substr(at, n));
            at += n;
            b.wait_us(1000);
        }
        std::string out;
        for (int i = 0; i < 4000 && out.size() < 4000; ++i) {
            b.stream(h).window = rng() % 50;
            b.wait_us(2000);
            out += b.stream(h).out;
            b.stream(h).out.clear();
        }
        const auto leds = take_answer(out), bounds = take_answer(out);
        REQUIRE(leds.status == 200);
        REQUIRE(leds.body.back() == '}');
        REQUIRE(bounds.status == 200);
        REQUIRE(bounds.has("frame_min_period_ms"));
        b.stream(h).peer_closed = true;
        b.poll();
    }
}

TEST_CASE("http server: slow, silent and stuck clients lose their place") {
    Bench b;
    const hal::Handle slow = fake::dial_in(80, "GET /api/hea"), silent = fake::dial_in(80);
    const hal::Handle stuck = fake::dial_in(80, request_text("GET", "/api/patterns"));
    b.stream(stuck).window = 10;
    b.poll();
    for (int i = 0; i < 4; ++i) {
        b.wait_us(1000000);
        fake::send_to(slow, "l");       // a byte a second does not buy more time
    }
    CHECK(b.server->open_connections() == 3);
    b.wait_us(1100000);
    CHECK(take_answer(b.stream(slow).out).status == 408);
    CHECK(b.stream(stuck).closed);
    CHECK_FALSE(b.stream(silent).closed);
    b.wait_us(HttpServer::kDrainUs);
    CHECK(b.stream(slow).closed);
    b.wait_us(10000000);
    CHECK(b.stream(silent).closed);
    CHECK(b.server->open_connections() == 0);
}

TEST_CASE("http server: garbage gets an answer and is shown the door, the rest of it is read first") {
    Bench b;
    const hal::Handle h = fake::dial_in(80, "\x16\x03\x01 hello TLS\r\n\r\n" + std::string(2000, 'x'));
    b.poll();
    CHECK(take_answer(b.stream(h).out).status == 400);
    CHECK(b.stream(h).in.empty());
    CHECK_FALSE(b.stream(h).closed);
    b.stream(h).peer_closed = true;
    b.poll();
    CHECK(b.stream(h).closed);
}

TEST_CASE("http server: too large a body is refused before it comes") {
    Bench b;
    const hal::Handle h = fake::dial_in(80, "POST /api/params HTTP/1.1\r\nHost: k1\r\nContent-Length: 70000\r\n\r\n");
    b.poll();
    const auto a = take_answer(b.stream(h).out);
    CHECK(a.status == 413);
    CHECK(a.body == "{\"error\":\"payload_too_large\",\"max_size\":65536}");
    b.wait_us(HttpServer::kDrainUs);
    CHECK(b.stream(h).closed);
}

TEST_CASE("http server: 100-continue") {
    Bench b;
    const hal::Handle h = fake::dial_in(80, "POST /api/params HTTP/1.1\r\nHost: k1\r\nExpect: 100-continue\r\nContent-Length: 13\r\n\r\n");
    b.poll();
    CHECK(b.stream(h).out == "HTTP/1.1 100 Continue\r\n\r\n");
    b.stream(h).out.clear();
    fake::send_to(h, "{\"speed\":0.25");
    b.poll();
    CHECK(take_answer(b.stream(h).out).status == 400);   // 13 bytes, one short of a document
    b.stream(h).peer_closed = true;
    b.poll();
}

TEST_CASE("http server: an idle connection makes place for a new one, a busy one does not") {
    Bench b;
    hal::Handle idle[HttpServer::kConnections];
    for (hal::Handle& h : idle) {
        h = fake::dial_in(80);
        b.wait_us(1000);
    }
    const hal::Handle fifth = fake::dial_in(80, "GET /api/x");
    b.wait_us(1000);
    CHECK(b.stream(idle[0]).closed);                     // the one that had been idle for longest
    CHECK_FALSE(b.stream(idle[1]).closed);
    for (int i = 1; i < 4; ++i) fake::send_to(idle[i], "GET /api/x");
    b.wait_us(1000);
    const hal::Handle sixth = fake::dial_in(80);
    b.wait_us(1000);
    CHECK(b.stream(sixth).closed);
    CHECK_FALSE(b.stream(fifth).closed);
    for (const hal::Handle h : {idle[1], idle[2], idle[3], fifth}) fake::net.streams.at(h).peer_closed = true;
    b.poll();
    CHECK(b.server->open_connections() == 0);
}

TEST_CASE("http server: memory runs out in the middle of an answer") {
    Bench b;
    const size_t spare = 1500;
    void* hog = hal::heap_take(hal::heap_free() - spare);
    const hal::Handle h = fake::dial_in(80, request_text("GET", "/api/leds/frame"));
    b.poll();
    const auto a = take_answer(b.stream(h).out);
    CHECK(a.status == 503);
    CHECK(a.has("out_of_memory"));
    hal::heap_give(hog);
    b.wait_us(300000);
    fake::send_to(h, request_text("GET", "/api/leds/frame"));
    b.poll();
    CHECK(take_answer(b.stream(h).out).status == 200);
    b.stream(h).peer_closed = true;
    b.poll();
}

TEST_CASE("http server: HEAD gets no body") {
    Bench b;
    const hal::Handle h = fake::dial_in(80, request_text("HEAD", "/api/health"));
    b.poll();
    const std::string out = b.stream(h).out;
    CHECK(out.substr(0, 12) == "HTTP/1.1 404");
    CHECK(out.substr(out.size() - 4) == "\r\n\r\n");
    b.stream(h).peer_closed = true;
    b.poll();
}
