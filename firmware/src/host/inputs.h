// Devices as the session feeds them. Times are device nanoseconds.
#pragma once
#include <cstddef>
#include <cstdint>

#include "host/chip.h"
#include "host/wire.h"

namespace host {

// The next microphone words, from `first_index` on. Usable at once: sampling times are in the indices.
void mic_feed(uint64_t first_index, const uint8_t* words, size_t n);
uint32_t mic_lost();

// Delivered by the session when their time has come.
void console_input(const uint8_t* data, size_t n);
void console_host(bool reading, uint32_t bytes_per_s);
void net_input(Reader body);
void net_begin(uint32_t ip, int8_t rssi_dbm);

}  // namespace host
