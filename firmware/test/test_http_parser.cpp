// The request parser: what it takes, what it refuses, and that the pieces it gets do not matter.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "core/http_parser.h"
#include "seed.h"

using namespace k1;

namespace {

// All requests of a byte stream, as text, for comparison. Pieces as long as `next()` says.
template <class Next>
std::vector<std::string> requests_of(const std::string& bytes, Next next) {
    static HttpParser parser;
    parser.reset();
    std::vector<std::string> out;
    for (size_t at = 0; at < bytes.size();) {
        const size_t n = std::min<size_t>(next(), bytes.size() - at);
        const std::vector<uint8_t> piece(bytes.begin() + static_cast<long>(at), bytes.begin() + static_cast<long>(at + n));
        at += n;
        for (size_t done = 0; done < piece.size();) {
            size_t used = 0;
            const HttpParser::State state = parser.take(piece.data() + done, piece.size() - done, &used);
            done += used;
            const HttpRequest& r = parser.request();
            if (state == HttpParser::State::failed) {
                out.push_back("error " + std::to_string(parser.error()));
                return out;
            }
            if (state != HttpParser::State::done) continue;
            out.push_back(std::to_string(static_cast<int>(r.method)) + " " + r.path + " ? " + r.query + " " + (r.keep_alive ? "keep" : "close") +
                          " " + std::to_string(r.content_length) + " [" + std::string(r.body, r.body_n) + "]");
            parser.reset();
        }
    }
    out.push_back(parser.idle() ? "idle" : "more");
    return out;
}

std::vector<std::string> whole(const std::string& bytes) {
    return requests_of(bytes, [&] { return bytes.size(); });
}

std::string first(const std::string& bytes) { return whole(bytes)[0]; }

constexpr char kHost[] = "Host: k1\r\n";

}  // namespace

TEST_CASE("http parser: ordinary requests") {
    CHECK(first("GET /api/params HTTP/1.1\r\nHost: k1\r\n\r\n") == "0 /api/params ?  keep 0 []");
    CHECK(first("GET /a?x=1&y=2 HTTP/1.1\r\nHost: k1\r\nConnection: close\r\n\r\n") == "0 /a ? x=1&y=2 close 0 []");
    CHECK(first("POST /p HTTP/1.1\r\nhost: k1\r\ncontent-length:  4 \r\n\r\nabcd") == "1 /p ?  keep 4 [abcd]");
    CHECK(first("GET / HTTP/1.0\r\n\r\n") == "0 / ?  close 0 []");
    CHECK(first("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n") == "0 / ?  keep 0 []");
    CHECK(first("GET http://k1.local:80/x?y HTTP/1.1\r\nHost: k1\r\n\r\n") == "0 /x ? y keep 0 []");
    CHECK(first("OPTIONS * HTTP/1.1\r\nHost: k1\r\n\r\n") == "2 * ?  keep 0 []");
    CHECK(first("\r\n\r\nGET / HTTP/1.1\nHost: k1\n\n") == "0 / ?  keep 0 []");
    CHECK(first("PATCH / HTTP/1.1\r\nHost: k1\r\n\r\n") == "4 / ?  keep 0 []");
}

TEST_CASE("http parser: refusals") {
    const auto error = [](const std::string& s) { return first(s); };
    CHECK(error("GET\r\n") == "error 400");
    CHECK(error("GET  / HTTP/1.1\r\n") == "error 400");
    CHECK(error("GET / HTTP/1.1 \r\n") == "error 400");
    CHECK(error("GET / HTTP/2.0\r\n") == "error 505");
    CHECK(error("GET / FTP/1.1\r\n") == "error 400");
    CHECK(error("GET api HTTP/1.1\r\n") == "error 400");
    CHECK(error("GET / HTTP/1.1\r\n\r\n") == "error 400");                             // no Host
    CHECK(error(std::string("GET / HTTP/1.1\r\n") + kHost + kHost + "\r\n") == "error 400");
    CHECK(error("GET / HTTP/1.1\r\nHost : k1\r\n\r\n") == "error 400");
    CHECK(error("GET / HTTP/1.1\r\n folded\r\n\r\n") == "error 400");
    CHECK(error("GET / HTTP/1.1\r\nHost: k\r1\r\n\r\n") == "error 400");
    CHECK(error(std::string("GET /\0 HTTP/1.1\r\n", 17)) == "error 400");
    CHECK(error("POST / HTTP/1.1\r\nHost: k1\r\nTransfer-Encoding: chunked\r\n\r\n") == "error 501");
    CHECK(error("POST / HTTP/1.1\r\nHost: k1\r\nContent-Length: 1x\r\n\r\n") == "error 400");
    CHECK(error("POST / HTTP/1.1\r\nHost: k1\r\nContent-Length: -1\r\n\r\n") == "error 400");
    CHECK(error("POST / HTTP/1.1\r\nHost: k1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n") == "error 400");
    CHECK(error("POST / HTTP/1.1\r\nHost: k1\r\nContent-Length: 65537\r\n\r\n") == "error 413");
    CHECK(error("POST / HTTP/1.1\r\nHost: k1\r\nContent-Length: 99999999999999999999\r\n\r\n") == "error 400");
    CHECK(error("GET /" + std::string(600, 'a') + " HTTP/1.1\r\n") == "error 414");
    CHECK(error("GET /" + std::string(100, 'a') + " HTTP/1.1\r\n") == "error 414");
    CHECK(error("GET /a?" + std::string(300, 'a') + " HTTP/1.1\r\n") == "error 414");
    CHECK(error("GET / HTTP/1.1\r\nX: " + std::string(600, 'a') + "\r\n") == "error 431");
    std::string many = "GET / HTTP/1.1\r\n";
    for (int i = 0; i < 50; ++i) many += "X-Header: " + std::string(100, 'a') + "\r\n";
    CHECK(error(many) == "error 431");
    CHECK(error("GET / HTTP/1.1\r\nHost: k1\r\nExpect: miracles\r\n\r\n") == "error 417");
}

TEST_CASE("http parser: a body that does not fit is read to its end") {
    const std::string body(5000, 'b');
    const std::string bytes = std::string("POST /p HTTP/1.1\r\n") + kHost + "Content-Length: 5000\r\n\r\n" + body + "GET /next HTTP/1.0\r\n\r\n";
    const auto found = requests_of(bytes, [] { return size_t{700}; });
    REQUIRE(found == whole(bytes));
    REQUIRE(found.size() == 3);
    CHECK(found[0] == "1 /p ?  keep 5000 [" + std::string(HttpRequest::kBodyMost, 'b') + "]");
    CHECK(found[1] == "0 /next ?  close 0 []");
}

TEST_CASE("http parser: any split of the bytes gives the same requests") {
    std::mt19937 rng(test::fresh_seed("http parser: splits"));
    const std::vector<std::string> parts = {
        "GET /api/params HTTP/1.1\r\nHost: k1\r\n\r\n",
        "POST /api/params HTTP/1.1\r\nHost: k1\r\nContent-Length: 12\r\n\r\n{\"speed\":0.1}",  // one byte more than said: starts the next
        "POST /api/select HTTP/1.1\r\nHost: k1\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"index\":3}",
        "\r\n", "\n", "OPTIONS /x HTTP/1.1\nHost: k1\n\n", "GET / HTTP/1.0\r\n\r\n", "GE", "T / HTTP/1.1\r\n", "Host: k1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: k1\r\nContent-Length: 70000\r\n\r\n", "Content-Length: 3\r\n", "abc", std::string("\0\xFF", 2)};
    for (int round = 0; round < 3000; ++round) {
        std::string bytes;
        for (unsigned n = 1 + rng() % 5; n > 0; --n) bytes += parts[rng() % parts.size()];
        const auto expected = whole(bytes);
        const unsigned most = 1 + rng() % 20;
        const auto found = requests_of(bytes, [&] { return size_t{1} + rng() % most; });
        REQUIRE_MESSAGE(found == expected, bytes);
    }
}

TEST_CASE("http parser: garbage never does harm") {
    std::mt19937 rng(test::fresh_seed("http parser: garbage"));
    for (int round = 0; round < 5000; ++round) {
        std::string bytes = rng() % 2 == 0 ? "GET / HTTP/1.1\r\n" : "";
        for (unsigned n = rng() % 300; n > 0; --n) bytes += static_cast<char>(rng() % 4 == 0 ? "\r\n: /?"[rng() % 6] : static_cast<int>(rng() % 256));
        const auto expected = whole(bytes);
        REQUIRE(requests_of(bytes, [&] { return size_t{1} + rng() % 7; }) == expected);
    }
}

TEST_CASE("http parser: query values") {
    char out[16];
    CHECK(query_value("n=12&fmt=rgb", "n", out, sizeof out) == QueryValue::ok);
    CHECK(std::string(out) == "12");
    CHECK(query_value("n=12&fmt=rgb", "fmt", out, sizeof out) == QueryValue::ok);
    CHECK(std::string(out) == "rgb");
    CHECK(query_value("nn=12", "n", out, sizeof out) == QueryValue::absent);
    CHECK(query_value("xn=12", "n", out, sizeof out) == QueryValue::absent);
    CHECK(query_value("", "n", out, sizeof out) == QueryValue::absent);
    CHECK(query_value("n", "n", out, sizeof out) == QueryValue::ok);
    CHECK(std::string(out) == "");
    CHECK(query_value("n=%31%32", "n", out, sizeof out) == QueryValue::ok);
    CHECK(std::string(out) == "12");
    CHECK(query_value("n=%3", "n", out, sizeof out) == QueryValue::broken);
    CHECK(query_value("n=12345678901234567890", "n", out, sizeof out) == QueryValue::broken);
    CHECK(query_value("a&b=&n=1", "n", out, sizeof out) == QueryValue::ok);
}
