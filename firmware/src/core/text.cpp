#include "core/text.h"

#include <cstring>

namespace k1 {
namespace {

constexpr char kHexLower[] = "0123456789abcdef";
constexpr char kHexUpper[] = "0123456789ABCDEF";
constexpr uint32_t kPowersOfTen[7] = {1, 10, 100, 1000, 10000, 100000, 1000000};
constexpr char kDigitPairs[] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354555657585960"
    "61626364656667686970717273747576777879808182838485868788899091929394959697989900";

// Writes the digits of `v` backwards from `end`, two at a time; returns the first.
char* digits_before(char* end, uint32_t v) {
    while (v >= 100) {
        const uint32_t pair = v % 100;
        v /= 100;
        *--end = kDigitPairs[2 * pair + 1];
        *--end = kDigitPairs[2 * pair];
    }
    if (v >= 10) {
        *--end = kDigitPairs[2 * v + 1];
        *--end = kDigitPairs[2 * v];
    } else {
        *--end = static_cast<char>('0' + v);
    }
    return end;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

size_t text_length(const char* s) {
    size_t n = 0;
    while (s[n] != '\0') ++n;
    return n;
}

bool text_equal(const char* a, const char* b) {
    while (*a != '\0' && *a == *b) ++a, ++b;
    return *a == *b;
}

bool text_equal(const char* a, size_t n, const char* b) { return text_length(b) == n && memcmp(a, b, n) == 0; }

bool equal_constant_time(const char* a, const char* b, size_t n) {
    unsigned difference = 0;
    for (size_t i = 0; i < n; ++i) difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
    return difference == 0;
}

bool text_equal_ignoring_case(const char* a, size_t n, const char* b) {
    if (text_length(b) != n) return false;
    for (size_t i = 0; i < n; ++i)
        if (lower(a[i]) != lower(b[i])) return false;
    return true;
}

Text::Text(char* buffer, size_t cap) : buffer_(buffer), cap_(cap) { buffer_[0] = '\0'; }

void Text::clear() {
    size_ = 0;
    overflow_ = false;
    buffer_[0] = '\0';
}

Text& Text::put(char c) {
    if (size_ + 1 < cap_) {
        buffer_[size_++] = c;
        buffer_[size_] = '\0';
    } else {
        overflow_ = true;
    }
    return *this;
}

Text& Text::put(const char* s) { return put(s, text_length(s)); }

Text& Text::put(const char* s, size_t n) {
    if (n > room()) {
        n = room();
        overflow_ = true;
    }
    memcpy(buffer_ + size_, s, n);
    size_ += n;
    buffer_[size_] = '\0';
    return *this;
}

Text& Text::u64(uint64_t v) {
    char digits[20];
    char* const end = digits + sizeof digits;
    char* p = end;
    // Nine digits at a time: 32-bit cores divide 64-bit numbers slowly.
    while (v > 0xFFFFFFFFu) {
        const uint64_t high = v / 1000000000u;
        const uint32_t low = static_cast<uint32_t>(v - high * 1000000000u);
        char* const block = p - 9;
        p = digits_before(p, low);
        while (p > block) *--p = '0';
        v = high;
    }
    p = digits_before(p, static_cast<uint32_t>(v));
    return put(p, static_cast<size_t>(end - p));
}

Text& Text::i64(int64_t v) {
    if (v >= 0) return u64(static_cast<uint64_t>(v));
    put('-');
    return u64(~static_cast<uint64_t>(v) + 1);
}

Text& Text::padded(uint32_t v, unsigned digits) {
    char block[10];
    char* const end = block + sizeof block;
    char* p = digits_before(end, v);
    while (end - p < static_cast<int>(digits) && p > block) *--p = '0';
    return put(p, static_cast<size_t>(end - p));
}

Text& Text::real(double v, unsigned decimals) {
    if (v != v) return put("nan");
    if (v < 0) {
        const size_t before = size_;
        put('-');
        real(-v, decimals);
        if (size_ == before + 2 && buffer_[before + 1] == '0') {  // "-0" says nothing more than "0"
            size_ = before;
            put('0');
        }
        return *this;
    }
    if (v > 1.7e308) return put("inf");
    if (v >= 1.8e19) return put("18446744073709551615");  // far outside anything measured here
    if (decimals > 6) decimals = 6;
    const uint32_t scale = kPowersOfTen[decimals];
    uint64_t whole = static_cast<uint64_t>(v);
    uint32_t part = static_cast<uint32_t>((v - static_cast<double>(whole)) * scale + 0.5);
    if (part >= scale) {
        part -= scale;
        ++whole;
    }
    u64(whole);
    if (part == 0) return *this;
    put('.');
    while (part % 10 == 0) {
        part /= 10;
        --decimals;
    }
    return padded(part, decimals);
}

Text& Text::hex(const uint8_t* bytes, size_t n) {
    for (size_t i = 0; i < n; ++i) {
        put(kHexLower[bytes[i] >> 4]);
        put(kHexLower[bytes[i] & 15]);
    }
    return *this;
}

Text& Text::hex32(uint32_t v) {
    const uint8_t bytes[4] = {static_cast<uint8_t>(v >> 24), static_cast<uint8_t>(v >> 16), static_cast<uint8_t>(v >> 8),
                              static_cast<uint8_t>(v)};
    return hex(bytes, 4);
}

Text& Text::hex16_upper(uint16_t v) {
    const char digits[4] = {kHexUpper[v >> 12], kHexUpper[(v >> 8) & 15], kHexUpper[(v >> 4) & 15], kHexUpper[v & 15]};
    return put(digits, 4);
}

Text& Text::ip(uint32_t a) {
    return u32(a >> 24).put('.').u32((a >> 16) & 255).put('.').u32((a >> 8) & 255).put('.').u32(a & 255);
}

Text& Text::mac(const uint8_t bytes[6]) {
    for (int i = 0; i < 6; ++i) {
        if (i > 0) put(':');
        hex(bytes + i, 1);
    }
    return *this;
}

bool parse_u64(const char* s, size_t n, uint64_t* out) {
    if (n == 0) return false;
    uint64_t v = 0;
    for (size_t i = 0; i < n; ++i) {
        if (!is_digit(s[i])) return false;
        const uint32_t digit = static_cast<uint32_t>(s[i] - '0');
        if (v > (UINT64_MAX - digit) / 10) return false;
        v = v * 10 + digit;
    }
    *out = v;
    return true;
}

bool parse_u32(const char* s, size_t n, uint32_t* out) {
    uint64_t v = 0;
    if (!parse_u64(s, n, &v) || v > UINT32_MAX) return false;
    *out = static_cast<uint32_t>(v);
    return true;
}

namespace {

// The pieces of a decimal number: mantissa x 10^exponent.
struct Decimal {
    bool negative = false;
    uint64_t mantissa = 0;
    int exponent = 0;
};

// Digits beyond the 18th change only the exponent. Returns how many digits were there.
size_t take_digits(const char* s, size_t n, size_t at, bool fraction, Decimal* d) {
    size_t count = 0;
    for (; at + count < n && is_digit(s[at + count]); ++count) {
        if (d->mantissa < 100000000000000000u) {
            d->mantissa = d->mantissa * 10 + static_cast<uint32_t>(s[at + count] - '0');
            if (fraction) --d->exponent;
        } else if (!fraction) {
            ++d->exponent;
        }
    }
    return count;
}

// The exponent part behind the 'e'; returns the position behind it, 0 when broken.
size_t take_exponent(const char* s, size_t n, size_t at, Decimal* d) {
    bool negative = false;
    if (at < n && (s[at] == '+' || s[at] == '-')) negative = s[at++] == '-';
    int e = 0;
    const size_t first = at;
    for (; at < n && is_digit(s[at]); ++at)
        if (e < 10000) e = e * 10 + (s[at] - '0');
    if (at == first) return 0;
    d->exponent += negative ? -e : e;
    return at;
}

// JSON's grammar: no leading '+', no leading zeros, digits on both sides of the point.
bool take_decimal(const char* s, size_t n, Decimal* d) {
    size_t i = 0;
    if (i < n && s[i] == '-') {
        d->negative = true;
        ++i;
    }
    const size_t whole = take_digits(s, n, i, false, d);
    if (whole == 0 || (whole > 1 && s[i] == '0')) return false;
    i += whole;
    if (i < n && s[i] == '.') {
        const size_t part = take_digits(s, n, i + 1, true, d);
        if (part == 0) return false;
        i += 1 + part;
    }
    if (i < n && (s[i] == 'e' || s[i] == 'E')) {
        i = take_exponent(s, n, i + 1, d);
        if (i == 0) return false;
    }
    return i == n;
}

}  // namespace

bool parse_real(const char* s, size_t n, float* out) {
    Decimal d;
    if (!take_decimal(s, n, &d)) return false;
    double v = static_cast<double>(d.mantissa);
    int e = d.exponent;
    if (v != 0) {
        if (e > 60) e = 60;  // 1e-18 x 1e60 is beyond a float already
        if (e < -80) e = -80;
        for (; e > 0; --e) v *= 10.0;
        double divisor = 1.0;
        for (; e < 0; ++e) divisor *= 10.0;
        v /= divisor;
    }
    constexpr double kFloatMax = 3.4028234663852886e38;
    float f = v > kFloatMax ? __builtin_inff() : static_cast<float>(v);
    *out = d.negative ? -f : f;
    return true;
}

int hex_digit(char c) {
    if (is_digit(c)) return c - '0';
    const char l = lower(c);
    return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

bool percent_decode(const char* s, size_t n, char* out, size_t cap) {
    size_t w = 0;
    for (size_t i = 0; i < n; ++i) {
        char c = s[i];
        if (c == '%') {
            if (n - i < 3) return false;
            const int high = hex_digit(s[i + 1]), low = hex_digit(s[i + 2]);
            if (high < 0 || low < 0) return false;
            c = static_cast<char>(high * 16 + low);
            i += 2;
        }
        if (c == '\0' || w + 1 >= cap) return false;
        out[w++] = c;
    }
    out[w] = '\0';
    return true;
}

}  // namespace k1
