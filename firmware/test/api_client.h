// Asks the router directly: a request as text in, status, headers and body out.
#pragma once
#include <doctest/doctest.h>

#include <string>

#include "core/http_parser.h"
#include "core/http_response.h"
#include "core/router.h"
#include "fake_hal.h"

namespace test {

struct Answer {
    int status = 0;
    std::string header, body;
    bool has(const std::string& text) const { return body.find(text) != std::string::npos; }
};

// Splits what a server sent: the first answer of `bytes`, which is shortened by it.
inline Answer take_answer(std::string& bytes) {
    Answer a;
    const size_t end = bytes.find("\r\n\r\n");
    if (end == std::string::npos) return a;
    a.header = bytes.substr(0, end + 2);
    a.status = std::stoi(a.header.substr(9, 3));
    const std::string key = "Content-Length: ";
    const size_t at = a.header.find(key);
    const size_t n = at == std::string::npos ? 0 : std::stoul(a.header.substr(at + key.size()));
    a.body = bytes.substr(end + 4, n);
    bytes.erase(0, end + 4 + n);
    return a;
}

// `headers`: more of them, each with its line end.
inline std::string request_text(const std::string& method, const std::string& target, const std::string& body = "",
                                const std::string& headers = "") {
    std::string s = method + " " + target + " HTTP/1.1\r\nHost: k1\r\n" + headers;
    if (method == "POST") s += "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
    return s + "\r\n" + body;
}

// One request at a time of its own, so that no rate limit of an earlier one is in the way (unless `at_us` is given).
inline Answer ask(const std::string& method, const std::string& target, const std::string& body = "", uint64_t at_us = 0,
                  const std::string& headers = "") {
    static uint64_t now_us = 1000000;
    static k1::HttpParser parser;
    parser.reset();
    now_us += 10000000;
    const std::string text = request_text(method, target, body, headers);
    size_t used = 0;
    k1::HttpResponse response;
    const auto state = parser.take(reinterpret_cast<const uint8_t*>(text.data()), text.size(), &used);
    if (state == k1::HttpParser::State::failed) k1::route_parser_error(parser.error(), response);
    else k1::route_request(parser.request(), at_us != 0 ? at_us : now_us, response);
    response.seal(true, true);
    std::string bytes;
    size_t n = 0;
    while (const char* data = response.next(&n)) {
        bytes.append(data, n);
        response.sent(n);
    }
    response.clear();
    return take_answer(bytes);
}

}  // namespace test
