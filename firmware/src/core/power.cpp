#include "core/power.h"

#include "core/pattern.h"

namespace k1 {

namespace {

constexpr uint32_t kStrips = 2;
constexpr uint32_t kIdleMa = kStrips * kLeds;      // 1 mA each
constexpr uint32_t kChannelMa = 20;                // at 255

uint32_t byte_sum(const uint8_t* rgb) {
    uint32_t sum = 0;
    for (const uint8_t* p = rgb; p != rgb + 3 * kLeds; p += 6) sum += p[0] + p[1] + p[2] + p[3] + p[4] + p[5];
    return sum;
}

uint32_t ma_of(uint32_t sum) { return kIdleMa + (kStrips * kChannelMa * sum + 254) / 255; }

}  // namespace

uint32_t estimate_ma(const uint8_t* rgb) { return ma_of(byte_sum(rgb)); }

bool limit_power(uint8_t* rgb, uint32_t cap_ma, uint32_t* ma) {
    const uint32_t sum = byte_sum(rgb);
    *ma = ma_of(sum);
    if (cap_ma == 0 || *ma <= cap_ma || sum == 0) return false;
    // Bytes allowed, over bytes wanted, in 1/65536; rounding down twice keeps the result under the cap.
    const uint64_t light_ma = cap_ma > kIdleMa ? cap_ma - kIdleMa : 0;
    const uint64_t allowed = light_ma * 255 / (kStrips * kChannelMa);
    const uint32_t scale = static_cast<uint32_t>((allowed << 16) / sum);
    for (size_t i = 0; i < 3 * kLeds; ++i) rgb[i] = static_cast<uint8_t>((rgb[i] * scale) >> 16);
    *ma = estimate_ma(rgb);
    return true;
}

}  // namespace k1
