// One telemetry sentence: $K1TYPE,field,...*CRC\r\n (docs/telemetry.md).
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/text.h"

namespace k1 {

// Builds in memory it does not own; add the fields in order, then finish().
class Sentence {
  public:
    Sentence(char* buffer, size_t cap, const char* type);

    Sentence& u64(uint64_t v);
    Sentence& u32(uint32_t v) { return u64(v); }
    Sentence& flag(bool v) { return u64(v ? 1 : 0); }
    Sentence& real(double v, unsigned decimals = 6);
    // `,`, `*`, `$` and control characters become `_`; at most `most` bytes are taken.
    Sentence& word(const char* s, size_t most = 64);
    Sentence& hex(const uint8_t* bytes, size_t n);
    Sentence& hex32(uint32_t v);
    Sentence& ip(uint32_t address);
    Sentence& mac(const uint8_t bytes[6]);
    Sentence& base64(const uint8_t* data, size_t n);

    // Adds the CRC and the line end. False when the buffer was too small: nothing of it may be sent.
    bool finish();
    const char* data() const { return text_.c_str(); }
    size_t size() const { return text_.size(); }

  private:
    Text text_;
    char* buffer_;
};

template <size_t N>
class SentenceBuffer : public Sentence {
  public:
    explicit SentenceBuffer(const char* type) : Sentence(memory_, N, type) {}

  private:
    char memory_[N];
};

}  // namespace k1
