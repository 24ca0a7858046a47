// Application slots and settings: the board holds the flash, the model charges its time to the task that asked.
#include <algorithm>
#include <cstring>

#include "hal/kv.h"
#include "hal/slots.h"
#include "hal/system.h"
#include "host/chip.h"
#include "host/costs.h"
#include "host/panic.h"
#include "host/session.h"

namespace {

using host::Call;
using host::CallPart;

constexpr size_t kSector = 4096;
constexpr size_t kPage = 256;
constexpr size_t kMostWrite = 1u << 20;
constexpr size_t kNameMax = 15;              // NVS

bool slot_open = false;
uint32_t slot_bytes = 0;
uint32_t slot_at = 0;

// Other tasks run while the flash works.
void take_time(uint64_t us) { host::wait_for(nullptr, host::now() + us * host::kCyclesPerUs); }

size_t steps(size_t from, size_t to, size_t size) { return (to + size - 1) / size - (from + size - 1) / size; }

// "u8 n, text" twice: name space and key. False when one is longer than NVS takes.
struct Name {
    uint8_t bytes[2 + 2 * kNameMax];
    size_t n = 0;
    bool add(const char* text) {
        size_t length = strnlen(text, kNameMax + 1);
        if (length == 0 || length > kNameMax) return false;
        bytes[n++] = static_cast<uint8_t>(length);
        std::memcpy(bytes + n, text, length);
        n += length;
        return true;
    }
};

}  // namespace

namespace hal {

SlotInfo slot_running() { return host::start_info().slot; }

bool slot_begin(uint32_t bytes) {
    host::charge(host::cost::kSmall);
    CallPart part{&bytes, sizeof bytes};
    slot_open = host::board_call(Call::slot_begin, &part, 1);
    slot_bytes = bytes;
    slot_at = 0;
    return slot_open;
}

bool slot_write(const uint8_t* data, size_t n) {
    host::charge(host::cost::kSmall);
    if (!slot_open || n > kMostWrite || n > slot_bytes - slot_at) return false;
    CallPart parts[] = {{&slot_at, sizeof slot_at}, {data, n}};
    bool good = host::board_call(Call::slot_write, parts, 2);
    take_time(steps(slot_at, slot_at + n, kSector) * host::cost::kEraseSectorUs +
              steps(slot_at, slot_at + n, kPage) * host::cost::kProgramPageUs);
    slot_at += static_cast<uint32_t>(n);
    return good;
}

bool slot_finish() {
    if (!slot_open || slot_at != slot_bytes) return false;
    slot_open = false;
    bool good = host::board_call(Call::slot_finish, nullptr, 0);
    take_time(slot_bytes / 1024 * host::cost::kHashUsPerKib + host::cost::kEraseSectorUs);
    return good;
}

void slot_abort() {
    if (!slot_open) return;
    slot_open = false;
    host::board_call(Call::slot_abort, nullptr, 0);
}

bool slot_confirm() {
    bool good = host::board_call(Call::slot_confirm, nullptr, 0);
    take_time(host::cost::kEraseSectorUs + host::cost::kProgramPageUs);
    return good;
}

void slot_roll_back() {
    host::board_call(Call::slot_invalid, nullptr, 0);
    host::reset_chip(ResetReason::software);
}

bool kv_get(const char* space, const char* key, char* value, size_t cap) {
    Name name;
    if (cap == 0 || !name.add(space) || !name.add(key)) return false;
    CallPart part{name.bytes, name.n};
    size_t n = 0;
    bool found = host::board_call(Call::kv_get, &part, 1, value, cap - 1, &n);
    take_time(host::cost::kNvsReadUs);
    if (!found || n > cap - 1) return false;
    value[n] = 0;
    return true;
}

bool kv_set(const char* space, const char* key, const char* value) {
    Name name;
    if (!name.add(space) || !name.add(key)) return false;
    CallPart parts[] = {{name.bytes, name.n}, {value, std::strlen(value)}};
    bool good = host::board_call(Call::kv_set, parts, 2);
    take_time(host::cost::kNvsWriteUs);
    return good;
}

bool kv_erase(const char* space, const char* key) {
    Name name;
    if (!name.add(space) || !name.add(key)) return false;
    CallPart part{name.bytes, name.n};
    bool good = host::board_call(Call::kv_erase, &part, 1);
    take_time(host::cost::kNvsWriteUs);
    return good;
}

}  // namespace hal
