#include "core/md5.h"

#include <cstring>

#include "core/text.h"

namespace k1 {
namespace {

// RFC 1321, section 3.4: floor(2^32 x |sin(i + 1)|).
constexpr uint32_t kSines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501, 0x698098d8, 0x8b44f7af, 0xffff5bb1,
    0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821, 0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453,
    0xd8a1e681, 0xe7d3fbc8, 0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a, 0xfffa3942,
    0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70, 0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05,
    0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665, 0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d,
    0x85845dd1, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};
constexpr uint8_t kTurns[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

inline uint32_t rotate_left(uint32_t v, unsigned by) { return (v << by) | (v >> (32 - by)); }

inline uint32_t load_le32(const uint8_t* p) {
    return p[0] | (static_cast<uint32_t>(p[1]) << 8) | (static_cast<uint32_t>(p[2]) << 16) | (static_cast<uint32_t>(p[3]) << 24);
}

// The four round functions and the order in which each round visits the message words.
inline uint32_t mix(unsigned round, uint32_t b, uint32_t c, uint32_t d) {
    switch (round) {
        case 0: return (b & c) | (~b & d);
        case 1: return (d & b) | (~d & c);
        case 2: return b ^ c ^ d;
        default: return c ^ (b | ~d);
    }
}

inline unsigned word_of(unsigned round, unsigned i) {
    switch (round) {
        case 0: return i & 15;
        case 1: return (5 * i + 1) & 15;
        case 2: return (3 * i + 5) & 15;
        default: return (7 * i) & 15;
    }
}

}  // namespace

void Md5::reset() {
    state_[0] = 0x67452301;
    state_[1] = 0xefcdab89;
    state_[2] = 0x98badcfe;
    state_[3] = 0x10325476;
    bytes_ = 0;
}

void Md5::block(const uint8_t* p) {
    uint32_t words[16];
    for (unsigned i = 0; i < 16; ++i) words[i] = load_le32(p + 4 * i);
    uint32_t a = state_[0], b = state_[1], c = state_[2], d = state_[3];
    for (unsigned i = 0; i < 64; ++i) {
        const unsigned round = i / 16;
        const uint32_t sum = a + mix(round, b, c, d) + kSines[i] + words[word_of(round, i)];
        a = d;
        d = c;
        c = b;
        b += rotate_left(sum, kTurns[round][i & 3]);
    }
    state_[0] += a;
    state_[1] += b;
    state_[2] += c;
    state_[3] += d;
}

void Md5::add(const uint8_t* data, size_t n) {
    size_t have = static_cast<size_t>(bytes_ & 63);
    bytes_ += n;
    if (have > 0) {
        const size_t part = n < 64 - have ? n : 64 - have;
        memcpy(tail_ + have, data, part);
        data += part;
        n -= part;
        have += part;
        if (have < 64) return;
        block(tail_);
    }
    for (; n >= 64; n -= 64, data += 64) block(data);
    if (n > 0) memcpy(tail_, data, n);
}

void Md5::add(const char* text) { add(reinterpret_cast<const uint8_t*>(text), text_length(text)); }

void Md5::finish(uint8_t digest[16]) {
    const uint64_t bits = bytes_ * 8;
    static constexpr uint8_t kPadding[64] = {0x80};
    const size_t have = static_cast<size_t>(bytes_ & 63);
    add(kPadding, have < 56 ? 56 - have : 120 - have);
    uint8_t length[8];
    for (unsigned i = 0; i < 8; ++i) length[i] = static_cast<uint8_t>(bits >> (8 * i));
    add(length, 8);
    for (unsigned i = 0; i < 16; ++i) digest[i] = static_cast<uint8_t>(state_[i / 4] >> (8 * (i & 3)));
}

void Md5::finish_hex(char out[33]) {
    uint8_t digest[16];
    finish(digest);
    Text(out, 33).hex(digest, 16);
}

}  // namespace k1
