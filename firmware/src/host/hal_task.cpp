// Clock, tasks, signals and critical sections on the modelled chip.
#include <algorithm>
#include <cstring>

#include "hal/clock.h"
#include "hal/task.h"
#include "host/chip.h"
#include "host/costs.h"
#include "host/panic.h"

namespace {

using host::Cycles;

// FreeRTOS counts delays in ticks: at least `ms`, ending on a tick.
Cycles tick_after(uint32_t ms) {
    Cycles t = host::now() + ms * host::kTick;
    return (t + host::kTick - 1) / host::kTick * host::kTick;
}

// The words of a SpinLock. A zeroed one is free.
struct LockState {
    uint32_t owner;          // core + 1
    uint32_t depth;
    Cycles released_at;      // no one may hold the lock before this
};

struct SignalState {
    void* given;             // nullptr or not
    Cycles given_at;
};

template <typename T, typename Words>
T load(const Words& words) {
    static_assert(sizeof(T) <= sizeof(Words), "the opaque words of the HAL are too few");
    T state;
    std::memcpy(&state, &words, sizeof(T));
    return state;
}

template <typename T, typename Words>
void store(Words& words, const T& state) {
    std::memcpy(&words, &state, sizeof(T));
}

}  // namespace

namespace host {
uint64_t clock_offset_us = 0;
}

namespace hal {

uint64_t clock_us() {
    host::charge(host::cost::kClock);
    return host::now() / host::kCyclesPerUs + host::clock_offset_us;
}

void clock_set(uint64_t us) {
    const uint64_t now = clock_us();
    if (us > now) host::clock_offset_us += us - now;
}

bool spawn(const TaskSpec& spec) {
    host::charge(host::cost::kSpawn);
    return host::spawn_task(spec, true);
}

void sleep_until_us(uint64_t t_us) {
    host::charge(host::cost::kSleep);
    if (t_us <= host::clock_offset_us) return;
    const Cycles t = (t_us - host::clock_offset_us) * host::kCyclesPerUs;
    if (t > host::now()) host::wait_for(nullptr, t);
}

void sleep_ms(uint32_t ms) {
    host::charge(host::cost::kSleep);
    if (ms == 0) {
        host::yield_now();
        return;
    }
    host::wait_for(nullptr, tick_after(ms));
}

Signal::Signal() : impl_{} {}

void Signal::give() {
    host::charge(host::cost::kSignalGive);
    store(impl_, SignalState{this, host::now()});
    host::wake(this);
}

bool Signal::take(uint32_t timeout_ms) {
    host::charge(host::cost::kSignalTake);
    Cycles deadline = timeout_ms == kForever ? host::kNever : tick_after(timeout_ms);
    for (;;) {
        auto state = load<SignalState>(impl_);
        if (state.given != nullptr) {
            host::advance_to(state.given_at);
            store(impl_, SignalState{nullptr, state.given_at});
            return true;
        }
        if (timeout_ms == 0 || host::now() >= deadline) return false;
        host::wait_for(this, deadline);
    }
}

SpinLock::SpinLock() : impl_{} {}

void SpinLock::lock() {
    host::charge(host::cost::kSpinLock);
    uint32_t me = host::running_core() + 1u;
    auto state = load<LockState>(impl_);
    while (state.owner != 0 && state.owner != me) {
        host::spin_wait();
        state = load<LockState>(impl_);
    }
    host::advance_to(state.released_at);
    host::lock_enter();
    store(impl_, LockState{me, state.depth + 1, state.released_at});
}

void SpinLock::unlock() {
    auto state = load<LockState>(impl_);
    if (state.depth == 0 || state.owner != host::running_core() + 1u) host::panic_abort("unlock without lock");
    --state.depth;
    if (state.depth == 0) state = {0, 0, host::now()};
    store(impl_, state);
    host::lock_leave();
    host::charge(host::cost::kSpinUnlock);
}

}  // namespace hal
