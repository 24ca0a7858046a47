#include "core/http_parser.h"

#include <cstring>

#include "core/text.h"

namespace k1 {
namespace {

// RFC 9110, section 5.6.2.
bool token_char(char c) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
    switch (c) {
        case '!': case '#': case '$': case '%': case '&': case '\'': case '*': case '+':
        case '-': case '.': case '^': case '_': case '`': case '|': case '~':
            return true;
        default:
            return false;
    }
}

bool blank(char c) { return c == ' ' || c == '\t'; }

Method method_of(const char* s, size_t n) {
    if (text_equal(s, n, "GET")) return Method::get;
    if (text_equal(s, n, "POST")) return Method::post;
    if (text_equal(s, n, "OPTIONS")) return Method::options;
    if (text_equal(s, n, "HEAD")) return Method::head;
    return Method::other;
}

// Whether a comma-separated list holds `word`.
bool list_has(const char* s, size_t n, const char* word) {
    size_t i = 0;
    while (i < n) {
        while (i < n && (blank(s[i]) || s[i] == ',')) ++i;
        const size_t first = i;
        while (i < n && s[i] != ',') ++i;
        size_t last = i;
        while (last > first && blank(s[last - 1])) --last;
        if (text_equal_ignoring_case(s + first, last - first, word)) return true;
    }
    return false;
}

}  // namespace

void HttpParser::reset() {
    request_.method = Method::other;
    request_.path[0] = request_.query[0] = request_.body[0] = request_.api_key[0] = '\0';
    request_.keep_alive = request_.expects_continue = false;
    request_.content_length = 0;
    request_.body_n = 0;
    state_ = State::more;
    part_ = Part::request_line;
    error_ = 0;
    header_bytes_ = body_seen_ = 0;
    have_length_ = have_host_ = version_11_ = false;
    line_n_ = 0;
}

void HttpParser::fail(uint16_t status) {
    state_ = State::failed;
    error_ = status;
    request_.keep_alive = false;
}

HttpParser::State HttpParser::take(const uint8_t* data, size_t n, size_t* used) {
    size_t i = 0;
    while (i < n && state_ == State::more) {
        if (part_ == Part::body) i += take_body(data + i, n - i);
        else take_line_byte(static_cast<char>(data[i++]));
    }
    *used = i;
    return state_;
}

// Lines end with \r\n; a lone \n is taken as well.
void HttpParser::take_line_byte(char c) {
    if (++header_bytes_ > kHeaderBytesMost) return fail(part_ == Part::request_line ? 414 : 431);
    if (c == '\n') {
        if (line_n_ > 0 && line_[line_n_ - 1] == '\r') --line_n_;
        end_of_line();
        line_n_ = 0;
        return;
    }
    const bool printable = (static_cast<unsigned char>(c) >= ' ' && c != 0x7F) || c == '\t' || c == '\r';
    if (!printable || (line_n_ > 0 && line_[line_n_ - 1] == '\r')) return fail(400);
    if (line_n_ == kLineMost) return fail(part_ == Part::request_line ? 414 : 431);
    line_[line_n_++] = c;
}

void HttpParser::end_of_line() {
    if (part_ == Part::request_line) {
        // Blank lines before a request are left over from the one before: skipped, but not without limit.
        if (line_n_ > 0) request_line();
    } else if (line_n_ == 0) {
        end_of_header();
    } else {
        header_line();
    }
}

void HttpParser::request_line() {
    size_t method_n = 0;
    while (method_n < line_n_ && token_char(line_[method_n])) ++method_n;
    if (method_n == 0 || method_n >= line_n_ || line_[method_n] != ' ') return fail(400);
    request_.method = method_of(line_, method_n);
    const char* target = line_ + method_n + 1;
    const size_t rest = line_n_ - method_n - 1;
    size_t target_n = 0;
    while (target_n < rest && target[target_n] > ' ') ++target_n;
    if (target_n == 0 || target_n >= rest || target[target_n] != ' ') return fail(400);
    const char* version = target + target_n + 1;
    const size_t version_n = rest - target_n - 1;
    version_11_ = text_equal(version, version_n, "HTTP/1.1");
    if (!version_11_ && !text_equal(version, version_n, "HTTP/1.0")) {
        const bool http = version_n == 8 && memcmp(version, "HTTP/", 5) == 0;
        return fail(http ? 505 : 400);
    }
    request_.keep_alive = version_11_;
    if (take_target(target, target_n)) part_ = Part::header;
}

// Origin form (/path?query), absolute form (http://host/path) or "*". A fragment has no place here.
bool HttpParser::take_target(const char* s, size_t n) {
    if (n > 7 && memcmp(s, "http://", 7) == 0) {
        size_t slash = 7;
        while (slash < n && s[slash] != '/') ++slash;
        s += slash;
        n -= slash;
    }
    if (n == 0 || (s[0] != '/' && !(n == 1 && s[0] == '*'))) return fail(400), false;
    size_t path_n = 0;
    while (path_n < n && s[path_n] != '?') ++path_n;
    const size_t query_n = path_n < n ? n - path_n - 1 : 0;
    if (path_n > HttpRequest::kPathMost || query_n > HttpRequest::kQueryMost) return fail(414), false;
    memcpy(request_.path, s, path_n);
    request_.path[path_n] = '\0';
    if (query_n > 0) memcpy(request_.query, s + path_n + 1, query_n);
    request_.query[query_n] = '\0';
    return true;
}

void HttpParser::header_line() {
    size_t name_n = 0;
    while (name_n < line_n_ && token_char(line_[name_n])) ++name_n;
    if (name_n == 0 || name_n >= line_n_ || line_[name_n] != ':') return fail(400);
    const char* value = line_ + name_n + 1;
    size_t n = line_n_ - name_n - 1;
    while (n > 0 && blank(*value)) ++value, --n;
    while (n > 0 && blank(value[n - 1])) --n;
    if (text_equal_ignoring_case(line_, name_n, "Content-Length")) return length_header(value, n);
    if (text_equal_ignoring_case(line_, name_n, "Transfer-Encoding")) return fail(501);
    if (text_equal_ignoring_case(line_, name_n, "X-API-Key")) return key_header(value, n);
    if (text_equal_ignoring_case(line_, name_n, "Host")) {
        if (have_host_) return fail(400);
        have_host_ = true;
    } else if (text_equal_ignoring_case(line_, name_n, "Connection")) {
        if (list_has(value, n, "close")) request_.keep_alive = false;
        else if (list_has(value, n, "keep-alive")) request_.keep_alive = true;
    } else if (text_equal_ignoring_case(line_, name_n, "Expect")) {
        if (!text_equal_ignoring_case(value, n, "100-continue")) return fail(417);
        request_.expects_continue = true;
    }
}

// Repeated lengths must agree: two opinions on where a request ends are how requests are smuggled.
void HttpParser::length_header(const char* value, size_t n) {
    uint64_t length = 0;
    if (!parse_u64(value, n, &length)) return fail(400);
    if (have_length_ && length != request_.content_length) return fail(400);
    if (length > kLargestBody) return fail(413);
    have_length_ = true;
    request_.content_length = static_cast<uint32_t>(length);
}

// A second key, or one longer than any that can be set, is a mistake and not a try.
void HttpParser::key_header(const char* value, size_t n) {
    if (request_.api_key[0] != '\0' || n > HttpRequest::kKeyMost) return fail(400);
    memcpy(request_.api_key, value, n);
    request_.api_key[n] = '\0';
}

void HttpParser::end_of_header() {
    if (version_11_ && !have_host_) return fail(400);
    part_ = Part::body;
    if (request_.content_length == 0) state_ = State::done;
}

// The body beyond the buffer is read to its end and forgotten, so that the next request on the connection is found.
size_t HttpParser::take_body(const uint8_t* data, size_t n) {
    const size_t missing = request_.content_length - body_seen_;
    const size_t part = n < missing ? n : missing;
    const size_t room = HttpRequest::kBodyMost - request_.body_n;
    const size_t kept = part < room ? part : room;
    memcpy(request_.body + request_.body_n, data, kept);
    request_.body_n += kept;
    request_.body[request_.body_n] = '\0';
    body_seen_ += static_cast<uint32_t>(part);
    if (body_seen_ == request_.content_length) state_ = State::done;
    return part;
}

QueryValue query_value(const char* query, const char* key, char* out, size_t cap) {
    const size_t key_n = text_length(key);
    for (const char* p = query; *p != '\0';) {
        size_t n = 0;
        while (p[n] != '\0' && p[n] != '&') ++n;
        const bool bare = n == key_n && memcmp(p, key, key_n) == 0;
        const bool valued = n > key_n && p[key_n] == '=' && memcmp(p, key, key_n) == 0;
        if (bare || valued) {
            const size_t skip = bare ? key_n : key_n + 1;
            return percent_decode(p + skip, n - skip, out, cap) ? QueryValue::ok : QueryValue::broken;
        }
        p += p[n] == '&' ? n + 1 : n;
    }
    return QueryValue::absent;
}

}  // namespace k1
