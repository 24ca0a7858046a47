#include "host/chip.h"

#include <algorithm>

#include "host/costs.h"
#include "host/heap.h"
#include "host/panic.h"

namespace host {
namespace {

constexpr int kMaxTasks = 24;
constexpr int kMaxSources = 8;
constexpr size_t kHostReserve = 8192;                       // host code under a task: link, console, panic text
constexpr size_t kSwitchReserve = 1024;                     // of which a task switch itself may take so much
constexpr Cycles kTaskWatchdog = 5'000'000 * kCyclesPerUs;  // CPU0's idle task must run within 5 s
constexpr Cycles kInterruptWatchdog = 300'000 * kCyclesPerUs;
constexpr Cycles kQuantumLeast = 1 * kCyclesPerUs;          // how far the cores may drift apart: drawn anew per slice
constexpr Cycles kQuantumSpan = 15 * kCyclesPerUs;
constexpr Cycles kSpinStep = 24;

Task tasks[kMaxTasks];
int task_count = 0;
Core cores[2];
Source sources[kMaxSources];
int source_count = 0;

Coro chip_coro;
Task* running = nullptr;
Core* on = nullptr;             // core of the running task
Cycles slice_end = 0;           // the running core's time is slice_end - k1_budget
Cycles event_time = 0;          // time outside of tasks
Cycles run_end = 0;
uint64_t next_order = 1;
uint64_t random_state = 1;

uint64_t draw() {               // xorshift64*: full period, cheap, the same everywhere
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545F4914F6CDD1Dull;
}

Core& other_of(const Core& core) { return cores[&core == &cores[0] ? 1 : 0]; }
uint8_t index_of(const Core& core) { return &core == &cores[0] ? 0 : 1; }
bool idle(const Core& core) { return core.busy_since == kNever; }

// The task that should run on a core: highest priority, then longest ready. Interrupts off: no change.
Task* choose(const Core& core) {
    if (core.locked_by != nullptr) return core.locked_by;
    Task* best = nullptr;
    for (int i = 0; i < task_count; ++i) {
        Task& task = tasks[i];
        if (task.state != Task::State::ready || task.core != index_of(core)) continue;
        if (best == nullptr || task.priority > best->priority ||
            (task.priority == best->priority && task.order < best->order)) {
            best = &task;
        }
    }
    return best;
}

bool has_peer(const Task& task) {
    for (int i = 0; i < task_count; ++i) {
        const Task& peer = tasks[i];
        if (&peer != &task && peer.state == Task::State::ready && peer.core == task.core &&
            peer.priority == task.priority) {
            return true;
        }
    }
    return false;
}

void make_ready(Task& task, Cycles t, bool woken) {
    task.state = Task::State::ready;
    task.woken = woken;
    task.key = nullptr;
    task.wake_at = kNever;
    task.order = next_order++;
    Core& core = cores[task.core];
    if (idle(core)) {
        core.now = std::max(core.now, t);
        core.busy_since = core.now;
    }
}

// The time both cores have reached: of those at work, the one behind; kNever when all is idle.
Cycles front() {
    Cycles t = kNever;
    for (const Core& core : cores) {
        if (!idle(core)) t = std::min(t, core.now);
    }
    return t;
}

Cycles next_source() {
    Cycles t = kNever;
    for (int i = 0; i < source_count; ++i) t = std::min(t, sources[i].next());
    return t;
}

Cycles next_wake(const Core& core) {
    Cycles t = kNever;
    for (int i = 0; i < task_count; ++i) {
        const Task& task = tasks[i];
        if (task.state == Task::State::waiting && task.core == index_of(core)) t = std::min(t, task.wake_at);
    }
    return t;
}

void apply_sources(Cycles t) {
    for (;;) {
        Cycles next = next_source();
        if (next > t) return;
        event_time = next;
        for (int i = 0; i < source_count; ++i) {
            if (sources[i].next() <= next) sources[i].apply(next);
        }
    }
}

// Wakes tasks whose time has come: on a core at work by that core's time, on an idle one by `t`.
void apply_timers(Cycles t) {
    for (int i = 0; i < task_count; ++i) {
        Task& task = tasks[i];
        if (task.state != Task::State::waiting) continue;
        const Core& core = cores[task.core];
        if (task.wake_at <= (idle(core) ? t : core.now)) make_ready(task, task.wake_at, false);
    }
}

Cycles watchdog_limit(const Core& core) {
    Cycles limit = kNever;
    if (&core == &cores[0]) limit = core.busy_since + kTaskWatchdog;
    if (core.lock_depth > 0) limit = std::min(limit, core.lock_at + kInterruptWatchdog);
    return limit;
}

// How far a core may run before something else needs a look.
Cycles slice_limit(const Core& core, const Task& task) {
    const Core& other = other_of(core);
    Cycles limit = std::min(run_end, next_source());
    limit = std::min(limit, next_wake(core));
    limit = std::min(limit, watchdog_limit(core));
    if (idle(other)) {
        limit = std::min(limit, next_wake(other));
    } else {
        limit = std::min(limit, std::max(other.now, core.now) + kQuantumLeast + draw() % kQuantumSpan);
    }
    if (has_peer(task)) limit = std::min(limit, (core.now / kTick + 1) * kTick);
    return std::max(limit, core.now + 1);
}

void check_watchdogs(const Core& core, const Task& task) {
    if (core.lock_depth > 0 && core.now - core.lock_at >= kInterruptWatchdog) {
        panic_interrupt_watchdog(index_of(core), task);
    }
    if (&core == &cores[0] && !idle(core) && core.now - core.busy_since >= kTaskWatchdog) {
        panic_task_watchdog(idle(cores[1]) ? nullptr : cores[1].last, &task);
    }
}

void run_slice(Core& core, Task& task) {
    Cycles start = core.now;
    if (core.last != &task) core.now += cost::kContextSwitch;
    core.last = &task;
    slice_end = std::max(slice_limit(core, task), core.now + 1);
    k1_budget = static_cast<int64_t>(slice_end - core.now);
    running = &task;
    on = &core;
    coro_switch(&chip_coro, &task.coro);
    core.now = slice_end - static_cast<Cycles>(k1_budget);
    event_time = core.now;
    running = nullptr;
    on = nullptr;
    k1_budget = INT64_MAX / 2;
    if (core.spinning) {
        core.spinning = false;
        core.now = std::max(core.now + kSpinStep, other_of(core).now + 1);
    }
    if (start / kTick != core.now / kTick) task.order = next_order++;   // the tick passes the turn to equals
    core.busy += core.now - start;
    check_watchdogs(core, task);
    if (choose(core) == nullptr) core.busy_since = kNever;
}

void to_chip() {
    auto* top = static_cast<uint8_t*>(__builtin_frame_address(0));
    if (top + kSwitchReserve < running->stack.low + kHostReserve) panic_stack_overflow(*running);
    coro_switch(&running->coro, &chip_coro);
}

// Where every task begins.
void task_entry() {
    Task& self = *running;
    self.fn(self.arg);
    panic_task_returned(self);
}

}  // namespace

void add_source(const Source& source) { sources[source_count++] = source; }

void chip_begin(uint64_t schedule_seed) {
    random_state = schedule_seed * 0x9E3779B97F4A7C15ull + 1;
    if (random_state == 0) random_state = 1;
    k1_budget = INT64_MAX / 2;
}

Cycles chip_run(Cycles end) {
    run_end = end;
    for (;;) {
        Cycles t = front();
        if (t == kNever) {                       // all idle: on to the next thing that happens
            t = std::min(next_source(), std::min(next_wake(cores[0]), next_wake(cores[1])));
            if (t > run_end) break;
        } else if (t >= run_end) {
            break;
        }
        apply_sources(t);
        apply_timers(t);
        Core* core = idle(cores[1]) || (!idle(cores[0]) && cores[0].now <= cores[1].now) ? &cores[0] : &cores[1];
        if (idle(*core) || core->now >= run_end) continue;
        Task* task = choose(*core);
        if (task != nullptr) run_slice(*core, *task);
    }
    event_time = run_end;
    return run_end;
}

void request_stop() {
    Cycles t = now();
    for (const Core& core : cores) {
        if (!idle(core) && &core != on) t = std::max(t, core.now);
    }
    run_end = std::min(run_end, t);
    end_slice();
}

Cycles now() { return running != nullptr ? slice_end - static_cast<Cycles>(k1_budget) : event_time; }

Task* running_task() { return running; }
uint8_t running_core() { return on == nullptr ? 0 : index_of(*on); }
const Core& core_state(uint8_t index) { return cores[index]; }
const Task* task_at(int index) { return index < task_count ? &tasks[index] : nullptr; }

bool spawn_task(const hal::TaskSpec& spec, bool charge_heap) {
    if (task_count == kMaxTasks || spec.core > 1) return false;
    if (charge_heap && !heap_reserve(spec.stack_bytes)) return false;
    Task& task = tasks[task_count];
    // Frames of a 64-bit host are about twice those of the chip.
    if (!stack_map(&task.stack, 2 * size_t{spec.stack_bytes} + kHostReserve)) return false;
    ++task_count;
    task.name = spec.name;
    task.fn = spec.fn;
    task.arg = spec.arg;
    task.stack_bytes = spec.stack_bytes;
    task.priority = spec.priority;
    task.core = spec.core;
    coro_make(&task.coro, task.stack, task_entry);
    make_ready(task, now(), false);
    end_slice();
    return true;
}

bool wait_for(const void* key, Cycles wake_at) {
    if (on->lock_depth > 0) panic_abort("waiting inside a critical section");
    Task& self = *running;
    self.state = Task::State::waiting;
    self.key = key;
    self.wake_at = wake_at;
    to_chip();
    return self.woken;
}

void wake(const void* key) {
    bool any = false;
    for (int i = 0; i < task_count; ++i) {
        if (tasks[i].state == Task::State::waiting && tasks[i].key == key) {
            make_ready(tasks[i], now(), true);
            any = true;
        }
    }
    if (any) end_slice();
}

void retime(const void* key, Cycles wake_at) {
    for (int i = 0; i < task_count; ++i) {
        if (tasks[i].state == Task::State::waiting && tasks[i].key == key) tasks[i].wake_at = wake_at;
    }
    end_slice();
}

void advance_to(Cycles t) {
    Cycles at = now();
    if (at < t) k1_budget -= static_cast<int64_t>(t - at);
}

void yield_now() {
    running->order = next_order++;
    to_chip();
}

void lock_enter() {
    if (on == nullptr) return;
    if (on->lock_depth++ == 0) {
        on->locked_by = running;
        on->lock_at = now();
    }
}

void lock_leave() {
    if (on == nullptr) return;
    if (--on->lock_depth == 0) {
        on->locked_by = nullptr;
        if (choose(*on) != running) end_slice();
    }
}

void spin_wait() {
    on->spinning = true;
    to_chip();
}

void slice_over() {
    if (running == nullptr) {
        k1_budget = INT64_MAX / 2;
        return;
    }
    to_chip();
}

void end_slice() {
    if (running == nullptr) return;
    slice_end -= static_cast<Cycles>(k1_budget);
    k1_budget = 0;
}

}  // namespace host
