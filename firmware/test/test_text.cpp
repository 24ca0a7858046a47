// Number formatting and parsing against the C library's, and the codecs against published vectors.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "core/base64.h"
#include "core/crc.h"
#include "core/md5.h"
#include "core/text.h"
#include "seed.h"

using namespace k1;

namespace {

std::string u64(uint64_t v) {
    TextBuffer<32> t;
    t.u64(v);
    return t.c_str();
}

std::string real(double v, unsigned decimals = 6) {
    TextBuffer<40> t;
    t.real(v, decimals);
    return t.c_str();
}

std::string md5_of(const std::string& s) {
    Md5 md5;
    md5.add(s.c_str());
    char hex[33];
    md5.finish_hex(hex);
    return hex;
}

std::string base64_of(const std::string& s) {
    std::string out(base64_length(s.size()), '?');
    base64_encode(reinterpret_cast<const uint8_t*>(s.data()), s.size(), out.data());
    return out;
}

uint16_t crc_of(const std::string& s) { return crc16(reinterpret_cast<const uint8_t*>(s.data()), s.size()); }

}  // namespace

TEST_CASE("text: whole numbers") {
    CHECK(u64(0) == "0");
    CHECK(u64(7) == "7");
    CHECK(u64(10) == "10");
    CHECK(u64(4294967295u) == "4294967295");
    CHECK(u64(4294967296u) == "4294967296");
    CHECK(u64(10000000000000000000u) == "10000000000000000000");
    CHECK(u64(UINT64_MAX) == "18446744073709551615");
    std::mt19937_64 rng(test::fresh_seed("text: whole numbers"));
    for (int i = 0; i < 20000; ++i) {
        const uint64_t v = rng() >> (rng() % 64);
        REQUIRE(u64(v) == std::to_string(v));
        uint64_t back = 0;
        const std::string s = std::to_string(v);
        REQUIRE(parse_u64(s.data(), s.size(), &back));
        REQUIRE(back == v);
    }
    TextBuffer<24> t;
    CHECK(std::string(t.i64(INT64_MIN).c_str()) == "-9223372036854775808");
    t.clear();
    CHECK(std::string(t.padded(7, 3).put(' ').padded(1234, 2).c_str()) == "007 1234");
}

TEST_CASE("text: real numbers") {
    CHECK(real(0.0) == "0");
    CHECK(real(0.33) == "0.33");
    CHECK(real(-0.5) == "-0.5");
    CHECK(real(-0.0000001) == "0");
    CHECK(real(1.9999999) == "2");
    CHECK(real(119.99951, 3) == "120");
    CHECK(real(0.000001) == "0.000001");
    CHECK(real(1e300) == "18446744073709551615");
    CHECK(real(std::nan("")) == "nan");
    CHECK(real(-INFINITY) == "-inf");
    std::mt19937_64 rng(test::fresh_seed("text: real numbers"));
    std::uniform_real_distribution<double> range(-1e6, 1e6);
    for (int i = 0; i < 20000; ++i) {
        const double v = range(rng);
        REQUIRE(std::fabs(std::strtod(real(v).c_str(), nullptr) - v) <= 0.51e-6);
    }
}

TEST_CASE("text: what does not fit is left out and remembered") {
    TextBuffer<5> t;
    t.put("abc");
    CHECK_FALSE(t.overflow());
    t.u32(12345);
    CHECK(t.overflow());
    CHECK(std::string(t.c_str()) == "abc1");
    CHECK(t.size() == 4);
}

TEST_CASE("text: numbers out of foreign text") {
    float f = -1;
    for (const char* good : {"0", "-0", "1", "0.5", "-12.25", "1e3", "2E-3", "1e+2", "123456789012345678901234567890", "0.1", "16777217"}) {
        REQUIRE_MESSAGE(parse_real(good, std::strlen(good), &f), good);
        CHECK_MESSAGE(f == doctest::Approx(std::strtof(good, nullptr)).epsilon(1e-6), good);
    }
    for (const char* bad : {"", "-", "+1", "01", "1.", ".5", "1e", "1e+", "0x10", "1 ", " 1", "NaN", "1.2.3", "--1", "1e1.5"})
        CHECK_FALSE_MESSAGE(parse_real(bad, std::strlen(bad), &f), bad);
    REQUIRE(parse_real("1e999", 5, &f));
    CHECK(std::isinf(f));
    REQUIRE(parse_real("-1e99999999999", 14, &f));
    CHECK((std::isinf(f) && f < 0));
    REQUIRE(parse_real("1e-999", 6, &f));
    CHECK(f == 0.0f);
    std::mt19937 rng(test::fresh_seed("text: float round trip"));
    std::uniform_real_distribution<float> range(-4.0f, 4.0f);
    for (int i = 0; i < 20000; ++i) {
        char text[40];
        std::snprintf(text, sizeof text, "%.9g", static_cast<double>(range(rng)));
        REQUIRE(parse_real(text, std::strlen(text), &f));
        REQUIRE(f == std::strtof(text, nullptr));
    }
    uint32_t u = 5;
    CHECK_FALSE(parse_u32("", 0, &u));
    CHECK_FALSE(parse_u32("-1", 2, &u));
    CHECK_FALSE(parse_u32("4294967296", 10, &u));
    CHECK_FALSE(parse_u32("99999999999999999999999", 23, &u));
    CHECK(parse_u32("4294967295", 10, &u));
    CHECK(u == 4294967295u);
}

TEST_CASE("text: percent decoding") {
    char out[8];
    CHECK(percent_decode("a%20b", 5, out, sizeof out));
    CHECK(std::string(out) == "a b");
    CHECK(percent_decode("%41%62", 6, out, sizeof out));
    CHECK(std::string(out) == "Ab");
    CHECK_FALSE(percent_decode("%4", 2, out, sizeof out));
    CHECK_FALSE(percent_decode("%zz", 3, out, sizeof out));
    CHECK_FALSE(percent_decode("%00", 3, out, sizeof out));
    CHECK_FALSE(percent_decode("12345678", 8, out, sizeof out));
}

TEST_CASE("crc: check value and pieces") {
    CHECK(crc_of("123456789") == 0x29B1);
    CHECK(crc_of("") == 0xFFFF);
    CHECK(crc_of("K1SYN,42,1234567") == 0x4A99);   // the example of docs/telemetry.md
    const std::string text = "The CRC of a whole is that of its parts.";
    for (size_t cut = 0; cut <= text.size(); ++cut) {
        const uint8_t* p = reinterpret_cast<const uint8_t*>(text.data());
        CHECK(crc16(p + cut, text.size() - cut, crc16(p, cut)) == crc_of(text));
    }
}

TEST_CASE("base64: RFC 4648 vectors") {
    CHECK(base64_of("") == "");
    CHECK(base64_of("f") == "Zg==");
    CHECK(base64_of("fo") == "Zm8=");
    CHECK(base64_of("foo") == "Zm9v");
    CHECK(base64_of("foob") == "Zm9vYg==");
    CHECK(base64_of("fooba") == "Zm9vYmE=");
    CHECK(base64_of("foobar") == "Zm9vYmFy");
    CHECK(base64_of("\xFF\xEF\xBE") == "/+++");
}

TEST_CASE("md5: RFC 1321 vectors, and any split of the input") {
    CHECK(md5_of("") == "d41d8cd98f00b204e9800998ecf8427e");
    CHECK(md5_of("a") == "0cc175b9c0f1b6a831c399e269772661");
    CHECK(md5_of("abc") == "900150983cd24fb0d6963f7d28e17f72");
    CHECK(md5_of("message digest") == "f96b697d7cb7938d525a2f31aaf161d0");
    CHECK(md5_of("abcdefghijklmnopqrstuvwxyz") == "c3fcd3d76192e4007dfb496cca67e13b");
    CHECK(md5_of("12345678901234567890123456789012345678901234567890123456789012345678901234567890") == "57edf4a22be3c955ac49da2e2107b67a");
    std::vector<uint8_t> image(5000);
    for (size_t i = 0; i < image.size(); ++i) image[i] = static_cast<uint8_t>(7 * i + 3);
    std::mt19937 rng(test::fresh_seed("md5: splits"));
    for (int round = 0; round < 200; ++round) {
        Md5 md5;
        for (size_t at = 0; at < image.size();) {
            const size_t n = std::min<size_t>(rng() % 200, image.size() - at);
            md5.add(image.data() + at, n);
            at += n;
        }
        char hex[33];
        md5.finish_hex(hex);
        REQUIRE(std::string(hex) == "33d9712cc5eb0bf18a41ed54a908e412");
    }
}
