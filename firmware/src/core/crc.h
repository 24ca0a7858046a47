// CRC-16/CCITT-FALSE: polynomial 1021, start FFFF, not reflected, no final xor; "123456789" gives 29B1.
#pragma once
#include <cstddef>
#include <cstdint>

namespace k1 {

uint16_t crc16(const uint8_t* data, size_t n, uint16_t crc = 0xFFFF);

}  // namespace k1
