// What the board said at the start, and timed input waiting for its moment.
#pragma once
#include <cstdint>

#include "hal/slots.h"
#include "hal/system.h"
#include "host/chip.h"
#include "host/wire.h"

namespace host {

struct StartInfo {
    uint64_t schedule_seed;
    hal::ResetReason reset_reason;
    hal::SlotInfo slot;
    uint8_t mac[6];
    uint32_t heap_bytes;
    uint64_t first_sample_ns;
    uint32_t random_seed;
    uint32_t ip;
    int8_t rssi_dbm;
};

const StartInfo& start_info();
// Which outputs end a grant early.
bool stop_on_net();
bool stop_on_console();

// Asks the board and waits for its answer. `out` may be nullptr. Returns false when the board said no.
// `*n_out` is set to the bytes of the answer, at most `cap` of them are copied.
struct CallPart {
    const void* data;
    size_t n;
};
bool board_call(Call op, const CallPart* parts, size_t part_count, void* out = nullptr, size_t cap = 0,
                size_t* n_out = nullptr);

// Plays the session: START, READY, then grants until the board goes or the firmware resets.
[[noreturn]] void session_run();

}  // namespace host
