#include "core/sentence.h"

#include "core/base64.h"
#include "core/crc.h"

namespace k1 {

Sentence::Sentence(char* buffer, size_t cap, const char* type) : text_(buffer, cap), buffer_(buffer) {
    text_.put("$K1", 3).put(type);
}

Sentence& Sentence::u64(uint64_t v) {
    text_.put(',').u64(v);
    return *this;
}

Sentence& Sentence::real(double v, unsigned decimals) {
    text_.put(',').real(v, decimals);
    return *this;
}

Sentence& Sentence::word(const char* s, size_t most) {
    text_.put(',');
    for (size_t i = 0; i < most && s[i] != '\0'; ++i) {
        const char c = s[i];
        const bool plain = c >= ' ' && c <= '~' && c != ',' && c != '*' && c != '$';
        text_.put(plain ? c : '_');
    }
    return *this;
}

Sentence& Sentence::hex(const uint8_t* bytes, size_t n) {
    text_.put(',').hex(bytes, n);
    return *this;
}

Sentence& Sentence::hex32(uint32_t v) {
    text_.put(',').hex32(v);
    return *this;
}

Sentence& Sentence::ip(uint32_t address) {
    text_.put(',').ip(address);
    return *this;
}

Sentence& Sentence::mac(const uint8_t bytes[6]) {
    text_.put(',').mac(bytes);
    return *this;
}

Sentence& Sentence::base64(const uint8_t* data, size_t n) {
    // Encoded in pieces of three bytes times 16, so that no second buffer of the full size is needed.
    char piece[64];
    text_.put(',');
    while (n > 0) {
        const size_t part = n < 48 ? n : 48;
        base64_encode(data, part, piece);
        text_.put(piece, base64_length(part));
        data += part;
        n -= part;
    }
    return *this;
}

bool Sentence::finish() {
    const uint16_t crc = crc16(reinterpret_cast<const uint8_t*>(buffer_) + 1, text_.size() - 1);
    text_.put('*').hex16_upper(crc).put("\r\n", 2);
    return !text_.overflow();
}

}  // namespace k1
