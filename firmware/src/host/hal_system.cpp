// Identity, resets, random numbers and the alarm.
#include "hal/system.h"

#include <algorithm>
#include <cstring>

#include "host/alarm.h"
#include "host/chip.h"
#include "host/costs.h"
#include "host/panic.h"
#include "host/session.h"

namespace {

using host::Cycles;

const char alarm_key = 0;
Cycles alarm_at = host::kNever;
void (*alarm_fn)() = nullptr;

// A task above all others on core 0: the chip's timer interrupt.
void alarm_task(void*) {
    for (;;) {
        host::wait_for(&alarm_key, alarm_at);
        if (alarm_fn == nullptr || host::now() < alarm_at) continue;
        auto fn = alarm_fn;
        alarm_fn = nullptr;
        alarm_at = host::kNever;
        fn();
    }
}

uint64_t random_state = 0;
bool random_begun = false;

}  // namespace

namespace host {
void alarm_begin() { spawn_task({"esp_timer", alarm_task, nullptr, 4096, 255, 0}, true); }
}  // namespace host

namespace hal {

ResetReason reset_reason() { return host::start_info().reset_reason; }

void chip_mac(uint8_t mac[6]) { std::memcpy(mac, host::start_info().mac, 6); }

uint32_t random_u32() {
    host::charge(host::cost::kRandom);
    if (!random_begun) {
        random_begun = true;
        random_state = host::start_info().random_seed;
    }
    random_state += 0x9E3779B97F4A7C15ull;              // splitmix64: any seed will do, zero too
    uint64_t z = random_state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return static_cast<uint32_t>((z ^ (z >> 31)) >> 32);
}

void restart() { host::reset_chip(ResetReason::software); }

void fail(const char* what) { host::panic_abort(what); }

void alarm_set(uint64_t after_us, void (*fn)()) {
    host::charge(host::cost::kSignalGive);
    alarm_fn = fn;
    alarm_at = host::now() + after_us * host::kCyclesPerUs;
    host::retime(&alarm_key, alarm_at);
}

void alarm_clear() {
    host::charge(host::cost::kSignalGive);
    alarm_fn = nullptr;
    alarm_at = host::kNever;
    host::retime(&alarm_key, alarm_at);
}

}  // namespace hal
