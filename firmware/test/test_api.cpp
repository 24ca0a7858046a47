// The API's routes, fields, refusals and rate limits.
#include <doctest/doctest.h>

#include <cstring>
#include <set>
#include <string>

#include "api_client.h"
#include "core/audio.h"
#include "core/build_info.h"
#include "core/frame.h"
#include "core/identity.h"
#include "core/params.h"
#include "core/pattern.h"
#include "core/rate_limit.h"
#include "core/stamp.h"
#include "hal/clock.h"

using namespace k1;
using test::ask;

namespace {

struct Device {
    Device() {
        fake::reset();
        fake::clock.now_us = 500000000;
        params().reset();
        audio().begin();
        frame_loop().begin();
        frame_loop().select(kBootPattern);
    }
    ~Device() { CHECK(fake::system.blocks.empty()); }
};

size_t count(const std::string& s, const std::string& what) {
    size_t n = 0;
    for (size_t at = s.find(what); at != std::string::npos; at = s.find(what, at + what.size())) ++n;
    return n;
}

}  // namespace

TEST_CASE("router: exact paths and methods, nothing else") {
    std::set<std::string> seen;
    for (size_t i = 0; i < kRouteCount; ++i) {
        const Route& r = kRoutes[i];
        CHECK(seen.insert(std::to_string(static_cast<int>(r.method)) + r.path).second);
        CHECK(route_find(r.method, r.path) == static_cast<int>(i));
        const std::string path = r.path;
        CHECK(route_find(r.method, (path + "/").c_str()) == -1);
        CHECK(route_find(r.method, (path + "x").c_str()) == -1);
        CHECK(route_find(Method::other, r.path) == -1);
    }
    CHECK(route_find(Method::get, "/api/params") != route_find(Method::get, "/api/params/bounds"));
    CHECK(route_find(Method::get, "/api/params") != route_find(Method::post, "/api/params"));
    CHECK(route_find(Method::get, "/API/params") == -1);
    CHECK(route_find(Method::get, "") == -1);
}

TEST_CASE("api: unknown paths and wrong methods are 404, OPTIONS is 204") {
    Device d;
    for (const char* path : {"/", "/api", "/api/params/", "/api/params/bounds/x", "/api/params%2Fbounds"}) {
        const auto a = ask("GET", path);
        CHECK_MESSAGE(a.status == 404, path);
        CHECK(a.body == "{\"error\":\"Not found\"}");
        CHECK(a.header.find("Access-Control-Allow-Origin: *") != std::string::npos);
    }
    CHECK(ask("POST", "/api/health", "{}").status == 404);
    CHECK(ask("GET", "/api/select").status == 404);
    CHECK(ask("OPTIONS", "/api/params").status == 204);
}

TEST_CASE("rate limit: only accepted requests start the window") {
    RateLimit limit;
    CHECK(limit.ask(0, 200) == 0);
    CHECK(limit.ask(1000, 200) == 199);
    CHECK(limit.ask(199999, 200) == 1);
    CHECK(limit.ask(200000, 200) == 0);
    CHECK(limit.ask(399999, 200) == 1);
    CHECK(limit.ask(400000, 200) == 0);
    CHECK(limit.ask(400000, 0) == 0);
    RateLimit late;
    CHECK(late.ask(UINT64_MAX - 10, 200) == 0);     // no window before the first request
}

TEST_CASE("api: 429 carries the contract's headers and does not extend the window") {
    Device d;
    const uint64_t t = 9000000000000;
    CHECK(ask("GET", "/api/params", "", t).status == 200);
    const auto a = ask("GET", "/api/params", "", t + 50000);
    CHECK(a.status == 429);
    CHECK(a.header.find("X-RateLimit-Window: 150\r\n") != std::string::npos);
    CHECK(a.header.find("X-RateLimit-NextAllowedMs: 100\r\n") != std::string::npos);
    CHECK(a.has("\"error\":\"rate_limited\""));
    CHECK(a.has("\"status\":429"));
    CHECK(ask("POST", "/api/params", "{}", t + 60000).status == 200);       // another route
    CHECK(ask("POST", "/api/params", "nonsense", t + 70000).status == 429); // the limiter runs first
    CHECK(ask("GET", "/api/params", "", t + 150000).status == 200);
}

TEST_CASE("api: parameters") {
    Device d;
    const auto all = ask("GET", "/api/params");
    for (const ParamSpec& spec : kParamSpecs) CHECK_MESSAGE(all.has(std::string("\"") + spec.name + "\":"), spec.name);
    CHECK(all.has("\"brightness\":1,"));
    CHECK(all.has("\"color\":0.33,"));
    CHECK(all.has("\"mirror_mode\":true"));
    auto a = ask("POST", "/api/params", R"({"brightness":0.123,"mirror_mode":false,"speed":7,"bass_treble_balance":-9,"unheard_of":1})");
    CHECK(a.status == 200);
    CHECK(a.has("\"brightness\":0.123,"));
    CHECK(a.has("\"mirror_mode\":false"));
    CHECK(a.has("\"speed\":1,"));
    CHECK(a.has("\"bass_treble_balance\":-1,"));
    CHECK(ask("GET", "/api/params").body == a.body);
    for (const char* bad : {R"({"brightness":0.5,"color":"x"})", R"({"brightness":0.5,"color":NaN})", R"({"brightness":0.5,"color":null})",
                            R"({"brightness":0.5,"color":[1]})", R"({"brightness":0.5,"color":true})", R"({"brightness":0.5,"mirror_mode":"on"})"}) {
        const auto refused = ask("POST", "/api/params", bad);
        CHECK_MESSAGE(refused.status == 400, bad);
        CHECK(refused.has("\"error\":\"invalid_value\""));
    }
    CHECK(ask("GET", "/api/params").body == a.body);    // a refused request changed nothing
    CHECK(ask("POST", "/api/params", "{\"color\":1e999}").has("\"color\":1,"));
    const auto bounds = ask("GET", "/api/params/bounds");
    CHECK(count(bounds.body, "\"min\":") == kParamCount);
    CHECK(bounds.has("\"frame_min_period_ms\":{\"min\":4,\"max\":20,"));
    CHECK(ask("POST", "/api/reset", "").body == all.body);
    CHECK(ask("POST", "/api/reset", "{}").status == 200);
}

TEST_CASE("api: bad documents") {
    Device d;
    for (const char* path : {"/api/params", "/api/select", "/api/audio-config"}) {
        for (const std::string& body : {std::string(), std::string("["), std::string("[]"), std::string("brightness=1"), std::string("{\"a\":1"),
                                        "{\"a\":\"" + std::string(3000, 'x') + "\"}"}) {
            const auto a = ask("POST", path, body);
            CHECK_MESSAGE(a.status == 400, path, " ", body.substr(0, 20));
            CHECK(a.has("\"error\":\"invalid_json\""));
            CHECK(a.has("\"timestamp\":"));
        }
    }
    CHECK(ask("POST", "/api/reset", "[").status == 400);
}

TEST_CASE("api: patterns and selection") {
    Device d;
    const auto list = ask("GET", "/api/patterns");
    CHECK(count(list.body, "\"index\":") == kPatternCount);
    CHECK(list.has("\"current_pattern\":" + std::to_string(kBootPattern)));
    const std::string id = kPatterns[1].id;
    auto a = ask("POST", "/api/select", "{\"id\":\"" + id + "\",\"transition\":true}");
    CHECK(a.status == 200);
    CHECK(a.body == "{\"current_pattern\":1,\"id\":\"" + id + "\",\"name\":\"" + kPatterns[1].name + "\"}");
    CHECK(ask("GET", "/api/pattern/current").has("\"id\":\"" + id + "\""));
    CHECK(ask("POST", "/api/select", "{\"index\":2}").has("\"current_pattern\":2"));
    const auto error = [](const char* body) {
        const auto r = ask("POST", "/api/select", body);
        return std::to_string(r.status) + (r.has("invalid_value") ? " value" : r.has("pattern_not_found") ? " pattern" : r.has("missing_field") ? " field" : "");
    };
    CHECK(error("{\"id\":123}") == "400 value");
    CHECK(error("{\"id\":null}") == "400 value");
    CHECK(error("{\"index\":\"2\"}") == "400 value");
    CHECK(error("{\"index\":-1}") == "400 value");
    CHECK(error("{\"index\":1.5}") == "400 value");
    CHECK(error("{\"index\":256}") == "400 value");
    CHECK(error("{\"index\":1e400}") == "400 value");
    CHECK(error("{\"index\":255}") == "404 pattern");
    CHECK(error("{\"id\":\"nope\"}") == "404 pattern");
    CHECK(error("{\"id\":\"\\u0000\"}") == "404 pattern");
    CHECK(error("{}") == "400 field");
    CHECK(error("{\"index\":2,\"transition\":1}") == "400 value");
    CHECK(frame_loop().selected() == 2);
}

TEST_CASE("api: device identity, also over a stamp beyond 32 bits") {
    Device d;
    fake::kv["k1/boots"] = "41";
    fake::kv["wifi_creds/ssid"] = "topsecretnet";
    identity_begin();
    const auto a = ask("GET", "/api/device/info");
    CHECK(a.has("\"device\":\"K1.reinvented\""));
    CHECK(a.has("\"mac\":\"02:4b:31:00:00:01\""));
    CHECK(a.has("\"boot_count\":42"));
    CHECK(a.has("\"image_sha256\":\"" + std::string(64, '0') + "\""));
    CHECK(a.has(std::string("\"version\":\"") + kVersion + "\""));
    CHECK(a.has("\"reset_reason\":\"power_on\""));
    CHECK(a.has("\"slot_state\":\"valid\""));
    CHECK(ask("GET", "/api/device-info").body == a.body);
    hal::clock_set(0x100000000u + 5000000u);
    CHECK(ask("GET", "/api/health").has("\"uptime_ms\":" + std::to_string((0x100000000u + 5000000u) / 1000)));
    CHECK(ask("GET", "/api/health").has("\"ip\":\"192.168.1.23\""));
    CHECK_FALSE(ask("GET", "/api/health").has("topsecretnet"));
}

TEST_CASE("api: a key, once set, is asked for on every route") {
    Device d;
    const std::string key = "correct-horse_battery";
    const auto with = [](const std::string& k) { return ask("GET", "/api/health", "", 0, "X-API-Key: " + k + "\r\n").status; };
    CHECK(ask("GET", "/api/health").status == 200);
    CHECK(with("whatever") == 200);
    fake::kv["k1/api_key"] = key;
    CHECK(ask("GET", "/api/health").status == 401);
    CHECK(ask("GET", "/api/health").has("\"error\":\"unauthorized\""));
    CHECK_FALSE(ask("GET", "/api/health").has(key));
    CHECK(ask("GET", "/nowhere").status == 401);
    CHECK(ask("POST", "/api/select", "{\"index\":1}").status == 401);
    CHECK(ask("OPTIONS", "/api/select").status == 204);
    CHECK(with(key) == 200);
    CHECK(ask("GET", "/api/health", "", 0, "x-api-key:  " + key + " \r\n").status == 200);
    for (const std::string& wrong : {std::string(), key.substr(1), key + "x", key.substr(0, key.size() - 1), std::string("Correct-horse_battery"), std::string(64, 'a')})
        CHECK_MESSAGE(with(wrong) == 401, wrong);
    CHECK(with(std::string(65, 'a')) == 400);
    CHECK(ask("GET", "/api/health", "", 0, "X-API-Key: a\r\nX-API-Key: " + key + "\r\n").status == 400);
    CHECK(ask("GET", "/nowhere", "", 0, "X-API-Key: " + key + "\r\n").status == 404);
}

TEST_CASE("api: LED frame is whole") {
    Device d;
    frame_loop().step();
    const auto hex = ask("GET", "/api/leds/frame");
    CHECK(hex.has("\"count\":160,\"limit\":160,\"format\":\"hex\""));
    const auto rgb = ask("GET", "/api/leds/frame?fmt=rgb");
    CHECK(count(rgb.body.substr(rgb.body.find("\"data\"")), "[") == 161);
    REQUIRE(!fake::strip.sent.empty());
    const auto& sent = fake::strip.sent.back().a;
    std::string expected;
    for (int i = 0; i < 160; ++i) {
        char led[16];
        std::snprintf(led, sizeof led, "%s\"%02X%02X%02X\"", i > 0 ? "," : "", sent[3 * i], sent[3 * i + 1], sent[3 * i + 2]);
        expected += led;
    }
    CHECK(hex.has("\"data\":[" + expected + "]"));
    CHECK(count(ask("GET", "/api/leds/frame?n=2").body, "\"") == 2 * 2 + 2 * 6);
    for (const char* bad : {"?n=0", "?n=161", "?n=x", "?n=%zz", "?fmt=hsv"}) {
        const auto a = ask("GET", std::string("/api/leds/frame") + bad);
        CHECK_MESSAGE(a.status == 400, bad);
        CHECK(a.has("invalid_param"));
    }
}

TEST_CASE("api: transmissions, newest first or oldest first, across the 32-bit wrap") {
    Device d;
    hal::clock_set(0x100000000u - 20000);      // 20 ms before the wrap
    for (int i = 0; i < 20; ++i) frame_loop().step();
    const auto all = ask("GET", "/api/led-tx/recent?limit=20&order=asc");
    CHECK(count(all.body, "timestamp_us") == 20);
    const auto few = ask("GET", "/api/led-tx/recent?limit=3");
    CHECK(count(few.body, "timestamp_us") == 3);
    CHECK(few.has("\"order\":\"desc\""));
    // Everything after the wrap, asked for with a stamp before it.
    const auto since = ask("GET", "/api/led-tx/recent?limit=64&since_us=" + std::to_string(0xFFFFFFFFu - 1000u));
    const size_t n = count(since.body, "timestamp_us");
    CHECK(n > 10);
    CHECK(n < 20);
    const auto align = ask("GET", "/api/latency/align?t_us=4294967295");
    CHECK(align.has("\"found\":true"));
    CHECK(ask("GET", "/api/latency/align").status == 400);
    CHECK(ask("GET", "/api/latency/align?t_us=5&strategy=sideways").status == 400);
    CHECK(ask("GET", "/api/latency/align?t_us=2000000000&max_delta_us=1000").has("\"found\":false"));
    CHECK(ask("GET", "/api/latency/probe").has("\"label\":\"audio_step\""));
}

TEST_CASE("api: frame metrics are oldest first and complete") {
    Device d;
    for (int i = 0; i < 250; ++i) frame_loop().step();   // more than a second, so that the rate is this test's own
    const auto a = ask("GET", "/api/frame-metrics");
    CHECK(a.status == 200);
    CHECK(a.has("\"frame_count\":64,\"buffer_size\":64"));
    CHECK(count(a.body, "\"render_us\"") == 64);
    CHECK(a.body.substr(a.body.size() - 3) == "}]}");
    const auto performance = ask("GET", "/api/device/performance");
    for (const char* field : {"fps", "frame_time_us", "render_avg_us", "quantize_avg_us", "rmt_wait_avg_us", "rmt_tx_avg_us", "cpu_percent",
                              "memory_percent", "memory_free_kb", "memory_total_kb", "beat_queue_depth", "beat_queue_capacity",
                              "beat_overflows_total", "fps_history"})
        CHECK_MESSAGE(performance.has(std::string("\"") + field + "\":"), field);
    const std::string rate = performance.body.substr(performance.body.find("\"fps\":") + 6, 4);
    CHECK(std::stod(rate) == doctest::Approx(166.0).epsilon(0.05));
    fake::clock.now_us += 1100000;      // the render task hangs
    CHECK(ask("GET", "/api/device/performance").has("\"fps\":0,"));
    const auto text = ask("GET", "/metrics");
    CHECK(text.header.find("Content-Type: text/plain") != std::string::npos);
    CHECK(text.body.substr(0, 7) == "k1_fps ");
    CHECK(ask("GET", "/api/metrics").status == 200);
}

TEST_CASE("api: audio") {
    Device d;
    CHECK(ask("POST", "/api/audio-config", R"({"microphone_gain":1.5,"vu_floor_pct":0.6,"active":true})").has("\"microphone_gain\":1.5"));
    CHECK(ask("POST", "/api/audio-config", R"({"microphone_gain":2.5})").has("invalid_value"));
    CHECK(ask("POST", "/api/audio-config", R"({"microphone_gain":0.7,"active":1})").has("invalid_value"));
    CHECK(ask("GET", "/api/audio-config").has("\"microphone_gain\":1.5,\"vu_floor_pct\":0.6,\"active\":true"));
    audio().set_gain(1.0f);
    CHECK(ask("POST", "/api/audio/noise-calibrate", "").has("\"frames\":512"));
    const auto tempo = ask("GET", "/api/audio/tempo");
    CHECK(count(tempo.body, "\"idx\":") == 5);
    CHECK(tempo.has("\"tempo_lock_state\":\"UNLOCKED\""));
    CHECK(ask("GET", "/api/audio/snapshot").has("\"update_counter\":"));
    const auto arrays = ask("GET", "/api/audio/arrays?count=64&include_chromagram=1");
    const std::string spectrum = arrays.body.substr(0, arrays.body.find("],"));
    CHECK(count(spectrum, ",") == 63);
    CHECK(arrays.has("\"count\":64,\"offset\":0,\"stride\":1"));
    CHECK(arrays.has("\"chromagram\":["));
    CHECK(ask("GET", "/api/audio/arrays").has("\"count\":16,\"offset\":0,\"stride\":4"));
    for (const char* bad : {"?count=3", "?count=65", "?history=1", "?include_novelty=true", "?stride=0", "?history=maybe"})
        CHECK_MESSAGE(ask("GET", std::string("/api/audio/arrays") + bad).status == 400, bad);
}
