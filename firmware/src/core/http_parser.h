// Incremental parser of HTTP/1.x requests (RFC 9112). Takes bytes in any pieces: the result never depends on how they were split.
// All memory is inside; whatever a client sends, no more than this is used.
#pragma once
#include <cstddef>
#include <cstdint>

namespace k1 {

enum class Method : uint8_t { get, post, options, head, other };

struct HttpRequest {
    static constexpr size_t kPathMost = 96;
    static constexpr size_t kQueryMost = 256;
    static constexpr size_t kBodyMost = 2048;       // 23 parameters take about 700
    static constexpr size_t kKeyMost = 64;

    Method method = Method::other;
    char path[kPathMost + 1] = {};                  // as sent, without the query
    char query[kQueryMost + 1] = {};                // behind '?', still encoded
    char api_key[kKeyMost + 1] = {};                // X-API-Key; empty when there is none
    bool keep_alive = false;
    bool expects_continue = false;
    uint32_t content_length = 0;
    char body[kBodyMost + 1] = {};                  // zero-terminated
    size_t body_n = 0;                              // bytes in `body`; less than content_length when it did not fit

    bool body_complete() const { return body_n == content_length; }
};

class HttpParser {
  public:
    static constexpr uint32_t kLargestBody = 65536; // Content-Length above: 413
    static constexpr size_t kHeaderBytesMost = 4096;
    static constexpr size_t kLineMost = 512;        // one header line
    enum class State : uint8_t { more, done, failed };

    HttpParser() { reset(); }
    // Ready for the next request.
    void reset();
    // Takes bytes until the request is whole or broken; `used` gets how many. Bytes behind a whole request are left alone.
    State take(const uint8_t* data, size_t n, size_t* used);

    State state() const { return state_; }
    const HttpRequest& request() const { return request_; }
    // Status code to answer with after State::failed.
    uint16_t error() const { return error_; }
    // Nothing of a request has come yet (blank lines before it do not count).
    bool idle() const { return part_ == Part::request_line && line_n_ == 0 && state_ == State::more; }
    // Header done, body missing.
    bool in_body() const { return part_ == Part::body && state_ == State::more; }

  private:
    enum class Part : uint8_t { request_line, header, body };

    void fail(uint16_t status);
    void take_line_byte(char c);
    void end_of_line();
    void request_line();
    bool take_target(const char* s, size_t n);
    void header_line();
    void length_header(const char* value, size_t n);
    void key_header(const char* value, size_t n);
    void end_of_header();
    size_t take_body(const uint8_t* data, size_t n);

    HttpRequest request_;
    State state_;
    Part part_;
    uint16_t error_;
    uint32_t header_bytes_, body_seen_;
    bool have_length_, have_host_, version_11_;
    char line_[kLineMost];
    size_t line_n_;
};

// The value of `key` in a query string, percent-decoded, zero-terminated. The first one counts.
enum class QueryValue : uint8_t { absent, ok, broken };  // broken: bad encoding, or too long for `out`
QueryValue query_value(const char* query, const char* key, char* out, size_t cap);

}  // namespace k1
