// The modelled chip: two cores with a cycle count each, priority scheduling on both, timed events, watchdogs.
//
// All of it is one thread. Tasks are coroutines; between two of their slices the chip loop runs, decides which core is behind,
// and lets it go on. Time is in cycles (240 MHz) since the application started.
#pragma once
#include <cstdint>

#include "hal/task.h"
#include "host/coro.h"
#include "host/hook.h"

namespace host {

using Cycles = uint64_t;
constexpr Cycles kNever = ~Cycles{0};
constexpr Cycles kCyclesPerUs = 240;
constexpr Cycles kTick = 1000 * kCyclesPerUs;        // FreeRTOS at 1000 Hz

inline Cycles cycles_from_ns(uint64_t ns) { return (ns * 6 + 24) / 25; }
inline uint64_t ns_from_cycles(Cycles c) { return c * 25 / 6; }

struct Task {
    enum class State : uint8_t { unused, ready, waiting };
    State state = State::unused;
    uint8_t priority = 0;
    uint8_t core = 0;
    bool woken = false;                  // by its key, not by time
    const char* name = "";
    hal::TaskFn fn = nullptr;
    void* arg = nullptr;
    uint32_t stack_bytes = 0;            // as the firmware asked
    Stack stack;                         // what the host gave: roomier, see spawn_task
    Coro coro;
    const void* key = nullptr;           // what it waits for
    Cycles wake_at = kNever;
    uint64_t order = 0;                  // first come, first served among equals
};

struct Core {
    Cycles now = 0;
    Cycles busy = 0;                     // cycles not idle, since start
    Cycles busy_since = kNever;          // kNever: idle
    Task* last = nullptr;                // whose registers are loaded
    Task* locked_by = nullptr;           // holder of critical sections: interrupts are off
    int lock_depth = 0;
    Cycles lock_at = 0;
    bool spinning = false;               // gave way because the other core holds the lock it wants
};

// Something outside the tasks that happens at a time of its own (input from the board, a packet leaving the console).
struct Source {
    Cycles (*next)();                    // kNever: nothing
    void (*apply)(Cycles until);         // does everything due up to `until`
};
void add_source(const Source& source);

void chip_begin(uint64_t schedule_seed);
// Runs both cores until `end`, or to where request_stop() cut it. Returns the time reached.
Cycles chip_run(Cycles end);
// From HAL code or a source: the grant ends as soon as both cores have come to where the first of them now is.
void request_stop();

// The time of the running task's core; outside of tasks, of the event being delivered.
Cycles now();
inline uint64_t now_ns() { return ns_from_cycles(now()); }
// What clock_set() has added to the clock; scheduling never sees it.
extern uint64_t clock_offset_us;
Task* running_task();
uint8_t running_core();
const Core& core_state(uint8_t index);
// Visits tasks by index; nullptr beyond the last.
const Task* task_at(int index);

bool spawn_task(const hal::TaskSpec& spec, bool charge_heap);
// Task context. Waits until wake(key) or `wake_at`; true when woken by the key.
bool wait_for(const void* key, Cycles wake_at);
// Makes every task that waits for `key` ready, from now() on.
void wake(const void* key);
// Moves the time at which the one task waiting for `key` wakes, without waking it.
void retime(const void* key, Cycles wake_at);
// Task context: time passes on this core up to `t` at least (another core's doing became visible).
void advance_to(Cycles t);
// Task context: behind the other tasks of the same priority.
void yield_now();

// Critical sections of the running core.
void lock_enter();
void lock_leave();
// The other core holds what we want: let it run past us.
void spin_wait();

// The hook's slow path: the slice is used up.
void slice_over();
// Ends the running slice at the next hook, because the schedule has changed.
void end_slice();

}  // namespace host
