#include "core/http_response.h"

#include <cstring>

#include "core/stamp.h"
#include "core/text.h"
#include "hal/system.h"

namespace k1 {
namespace {

const char* reason(uint16_t status) {
    switch (status) {
        case 200: return "OK";
        case 204: return "No Content";
        case 400: return "Bad Request";
        case 401: return "Unauthorized";
        case 404: return "Not Found";
        case 408: return "Request Timeout";
        case 413: return "Content Too Large";
        case 414: return "URI Too Long";
        case 417: return "Expectation Failed";
        case 429: return "Too Many Requests";
        case 431: return "Request Header Fields Too Large";
        case 501: return "Not Implemented";
        case 503: return "Service Unavailable";
        case 505: return "HTTP Version Not Supported";
        default: return "Internal Server Error";
    }
}

// The contract's; browsers of any origin may read the device.
constexpr char kCors[] =
    "Access-Control-Allow-Origin: *\r\n"
    "Access-Control-Allow-Methods: GET,POST,OPTIONS\r\n"
    "Access-Control-Allow-Headers: Content-Type,X-API-Key\r\n"
    "Access-Control-Allow-Credentials: false\r\n";

}  // namespace

void HttpResponse::give_blocks() {
    while (first_ != nullptr) {
        Block* const gone = first_;
        first_ = gone->next;
        hal::heap_give(gone);
    }
    last_ = nullptr;
    body_n_ = block_sent_ = 0;
}

void HttpResponse::clear() {
    give_blocks();
    status_ = 200;
    text_plain_ = broken_ = limited_ = false;
    header_n_ = header_sent_ = 0;
}

void HttpResponse::write(const char* text) { write(text, text_length(text)); }

void HttpResponse::write(const char* data, size_t n) {
    while (n > 0 && !broken_) {
        if (last_ == nullptr || last_->n == kBlockBytes) {
            Block* const fresh = body_n_ >= kBodyMost ? nullptr : static_cast<Block*>(hal::heap_take(sizeof(Block)));
            if (fresh == nullptr) {
                broken_ = true;
                return;
            }
            fresh->next = nullptr;
            fresh->n = 0;
            if (last_ != nullptr) last_->next = fresh;
            else first_ = fresh;
            last_ = fresh;
        }
        const size_t room = kBlockBytes - last_->n;
        const size_t part = n < room ? n : room;
        memcpy(last_->data + last_->n, data, part);
        last_->n = static_cast<uint16_t>(last_->n + part);
        body_n_ += part;
        data += part;
        n -= part;
    }
}

void HttpResponse::error(uint16_t status, const char* code, const char* message) {
    give_blocks();
    broken_ = false;
    status_ = status;
    text_plain_ = false;
    JsonWriter j = json();
    j.object().str("error", code);
    if (message != nullptr) j.str("message", message);
    j.num("timestamp", stamp_now_ms()).num("status", status).end_object();
}

void HttpResponse::set_rate_limit(uint32_t window_ms, uint32_t next_ms) {
    limited_ = true;
    window_ms_ = window_ms;
    next_ms_ = next_ms;
}

void HttpResponse::seal(bool keep_alive, bool body) {
    Text h(header_, sizeof header_);
    h.put("HTTP/1.1 ").u32(status_).put(' ').put(reason(status_)).put("\r\n");
    if (status_ != 204) {
        h.put("Content-Type: ").put(text_plain_ ? "text/plain" : "application/json").put("\r\n");
        h.put("Content-Length: ").u64(body_n_).put("\r\n");
    }
    h.put(kCors);
    if (limited_) h.put("X-RateLimit-Window: ").u32(window_ms_).put("\r\nX-RateLimit-NextAllowedMs: ").u32(next_ms_).put("\r\n");
    h.put(keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n");
    header_n_ = h.size();
    header_sent_ = 0;
    if (!body) give_blocks();
}

const char* HttpResponse::next(size_t* n) const {
    if (header_sent_ < header_n_) {
        *n = header_n_ - header_sent_;
        return header_ + header_sent_;
    }
    if (first_ == nullptr || first_->n == block_sent_) return nullptr;
    *n = first_->n - block_sent_;
    return first_->data + block_sent_;
}

void HttpResponse::sent(size_t n) {
    if (header_sent_ < header_n_) {
        header_sent_ += n;
        return;
    }
    block_sent_ += n;
    if (block_sent_ < first_->n) return;
    Block* const gone = first_;
    first_ = gone->next;
    if (first_ == nullptr) last_ = nullptr;
    block_sent_ = 0;
    hal::heap_give(gone);
}

}  // namespace k1
