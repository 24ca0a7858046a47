#include "core/crc.h"

namespace k1 {
namespace {

struct Table {
    uint16_t entry[256];
};

constexpr Table make_table() {
    Table t = {};
    for (unsigned byte = 0; byte < 256; ++byte) {
        unsigned crc = byte << 8;
        for (int bit = 0; bit < 8; ++bit) crc = (crc & 0x8000u) != 0 ? (crc << 1) ^ 0x1021u : crc << 1;
        t.entry[byte] = static_cast<uint16_t>(crc);
    }
    return t;
}

constexpr Table kTable = make_table();

inline uint16_t step(uint16_t crc, uint8_t byte) {
    return static_cast<uint16_t>((crc << 8) ^ kTable.entry[((crc >> 8) ^ byte) & 0xFF]);
}

}  // namespace

uint16_t crc16(const uint8_t* data, size_t n, uint16_t crc) {
    // Four bytes per turn: pixel sentences are 670 bytes long and come with every frame.
    for (; n >= 4; n -= 4, data += 4) crc = step(step(step(step(crc, data[0]), data[1]), data[2]), data[3]);
    for (; n > 0; --n, ++data) crc = step(crc, *data);
    return crc;
}

}  // namespace k1
