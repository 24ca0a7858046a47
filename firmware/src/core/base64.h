// Base64 with padding (RFC 4648, section 4), encoding only.
#pragma once
#include <cstddef>
#include <cstdint>

namespace k1 {

constexpr size_t base64_length(size_t bytes) { return (bytes + 2) / 3 * 4; }

// Writes base64_length(n) characters, no terminating zero. `out` must not overlap `data`.
void base64_encode(const uint8_t* data, size_t n, char* out);

}  // namespace k1
