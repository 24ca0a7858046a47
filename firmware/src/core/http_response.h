// One HTTP response. The body grows in small blocks from the accounting heap while a handler writes it, so its exact length is known
// before the first byte leaves, and every block is given back as soon as it has been sent.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/json_writer.h"

namespace k1 {

class HttpResponse {
  public:
    static constexpr size_t kBlockBytes = 1016;                 // with the link 1 KiB on the chip
    static constexpr size_t kBodyMost = 16 * kBlockBytes;

    HttpResponse() = default;
    HttpResponse(const HttpResponse&) = delete;
    HttpResponse& operator=(const HttpResponse&) = delete;

    // Gives all memory back; a fresh 200 without body.
    void clear();

    // For handlers -----------------------------------------------------------------------------------------------------------------
    void set_status(uint16_t status) { status_ = status; }
    void set_text() { text_plain_ = true; }                     // text/plain instead of JSON
    JsonWriter json() { return JsonWriter(&HttpResponse::sink, this); }
    void write(const char* data, size_t n);
    void write(const char* text);
    // Replaces what there is by the contract's error object. `message` may be nullptr.
    void error(uint16_t status, const char* code, const char* message);
    // Headers of the contract's 429.
    void set_rate_limit(uint32_t window_ms, uint32_t next_ms);

    // For the server ---------------------------------------------------------------------------------------------------------------
    uint16_t status() const { return status_; }
    size_t body_size() const { return body_n_; }
    // The handler wrote more than fits, or memory ran out: the body must not be sent.
    bool broken() const { return broken_; }
    // Forms the header; then the response can be sent. `body`: false for HEAD, where only the length is told.
    void seal(bool keep_alive, bool body);
    // The next bytes to send, nullptr at the end. sent(n) moves on by n <= that many.
    const char* next(size_t* n) const;
    void sent(size_t n);

  private:
    struct Block {
        Block* next;
        uint16_t n;
        char data[kBlockBytes];
    };

    static void sink(void* self, const char* data, size_t n) { static_cast<HttpResponse*>(self)->write(data, n); }
    void give_blocks();

    uint16_t status_ = 200;
    bool text_plain_ = false, broken_ = false, limited_ = false;
    uint32_t window_ms_ = 0, next_ms_ = 0;
    Block* first_ = nullptr;
    Block* last_ = nullptr;
    size_t body_n_ = 0;
    size_t block_sent_ = 0;
    char header_[448];
    size_t header_n_ = 0, header_sent_ = 0;
};

}  // namespace k1
