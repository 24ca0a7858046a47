// What the model charges for things that are not blocks of the core, in cycles of 240 MHz. Sources: ESP-IDF 4.4 figures
// from its documentation where given, else estimates of the same order; all of it is `modelled` until fitted on a board.
#pragma once
#include <cstdint>

namespace host::cost {

constexpr uint32_t kContextSwitch = 480;    // FreeRTOS on Xtensa with FPU registers: about 2 us
constexpr uint32_t kClock = 60;             // esp_timer_get_time: two register reads and a shift
constexpr uint32_t kSpinLock = 50;          // portENTER_CRITICAL, uncontended
constexpr uint32_t kSpinUnlock = 40;
constexpr uint32_t kSignalGive = 500;       // task notification
constexpr uint32_t kSignalTake = 350;
constexpr uint32_t kSleep = 350;
constexpr uint32_t kSpawn = 6000;
constexpr uint32_t kStripStart = 2400;      // two rmt_write_sample calls: about 10 us
constexpr uint32_t kMicRead = 700;          // i2s_read, plus the copy
constexpr uint32_t kConsole = 300;          // HWCDC call, plus two cycles a byte
constexpr uint32_t kNetCall = 2500;         // a socket call through the lwIP core lock, plus a cycle a byte
constexpr uint32_t kHeapTake = 400;         // multi_heap with light poisoning
constexpr uint32_t kHeapGive = 300;
constexpr uint32_t kRandom = 60;
constexpr uint32_t kSmall = 20;             // a getter
constexpr uint32_t kCopyCall = 12;          // memcpy and its kin: call and set-up, plus a cycle per 4 bytes

// Flash: typical figures of 4 MB NOR parts (sector erase 45 ms, page program 0.7 ms), NVS entries a few page writes.
constexpr uint64_t kEraseSectorUs = 45000;
constexpr uint64_t kProgramPageUs = 700;
constexpr uint64_t kNvsWriteUs = 3000;
constexpr uint64_t kNvsReadUs = 120;
constexpr uint64_t kHashUsPerKib = 60;      // SHA-256 accelerator fed from mapped flash

}  // namespace host::cost
