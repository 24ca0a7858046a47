// Text in fixed buffers: numbers to decimal and back without the C library's printf family (no heap, no locale, small stack).
#pragma once
#include <cstddef>
#include <cstdint>

namespace k1 {

size_t text_length(const char* s);
bool text_equal(const char* a, const char* b);
// Compares `n` bytes that need no terminating zero with a zero-terminated word.
bool text_equal(const char* a, size_t n, const char* b);
bool text_equal_ignoring_case(const char* a, size_t n, const char* b);
// For secrets: takes the same time wherever the difference lies.
bool equal_constant_time(const char* a, const char* b, size_t n);

// Appends to memory it does not own. What does not fit is left out and remembered in overflow(). Always zero-terminated.
class Text {
  public:
    Text(char* buffer, size_t cap);

    Text& put(char c);
    Text& put(const char* s);
    Text& put(const char* s, size_t n);
    Text& u32(uint32_t v) { return u64(v); }
    Text& u64(uint64_t v);
    Text& i64(int64_t v);
    // At least `digits` digits, filled up with zeros.
    Text& padded(uint32_t v, unsigned digits);
    // Rounded to `decimals` (0-6) places, trailing zeros dropped. NaN and infinities are written as "nan", "inf", "-inf".
    Text& real(double v, unsigned decimals = 6);
    // Two lower-case digits per byte.
    Text& hex(const uint8_t* bytes, size_t n);
    // Eight lower-case digits.
    Text& hex32(uint32_t v);
    // Four upper-case digits.
    Text& hex16_upper(uint16_t v);
    // Dotted quad of an address in host byte order.
    Text& ip(uint32_t address);
    // aa:bb:cc:dd:ee:ff
    Text& mac(const uint8_t bytes[6]);

    const char* c_str() const { return buffer_; }
    size_t size() const { return size_; }
    size_t room() const { return cap_ - 1 - size_; }
    bool overflow() const { return overflow_; }
    void clear();

  private:
    char* buffer_;
    size_t cap_, size_ = 0;
    bool overflow_ = false;
};

// A Text with its own memory.
template <size_t N>
class TextBuffer : public Text {
  public:
    TextBuffer() : Text(memory_, N) {}
    TextBuffer(const TextBuffer&) = delete;
    TextBuffer& operator=(const TextBuffer&) = delete;

  private:
    char memory_[N];
};

// All digits and nothing else; false on an empty text or when the value does not fit.
bool parse_u64(const char* s, size_t n, uint64_t* out);
bool parse_u32(const char* s, size_t n, uint32_t* out);
// A decimal number as JSON writes it (-1, 0.5, 2e-3). Magnitudes beyond a float give an infinity of the right sign.
bool parse_real(const char* s, size_t n, float* out);

// -1 when `c` is no hexadecimal digit.
int hex_digit(char c);
// Replaces %XX by its byte. False when a sequence is broken, the result does not fit with its zero, or it holds a zero byte.
bool percent_decode(const char* s, size_t n, char* out, size_t cap);

}  // namespace k1
