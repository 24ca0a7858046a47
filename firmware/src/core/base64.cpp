#include "core/base64.h"

namespace k1 {
namespace {

constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

void base64_encode(const uint8_t* data, size_t n, char* out) {
    for (; n >= 3; n -= 3, data += 3, out += 4) {
        const uint32_t v = (static_cast<uint32_t>(data[0]) << 16) | (static_cast<uint32_t>(data[1]) << 8) | data[2];
        out[0] = kAlphabet[v >> 18];
        out[1] = kAlphabet[(v >> 12) & 63];
        out[2] = kAlphabet[(v >> 6) & 63];
        out[3] = kAlphabet[v & 63];
    }
    if (n == 0) return;
    const uint32_t v = (static_cast<uint32_t>(data[0]) << 16) | (n == 2 ? static_cast<uint32_t>(data[1]) << 8 : 0);
    out[0] = kAlphabet[v >> 18];
    out[1] = kAlphabet[(v >> 12) & 63];
    out[2] = n == 2 ? kAlphabet[(v >> 6) & 63] : '=';
    out[3] = '=';
}

}  // namespace k1
