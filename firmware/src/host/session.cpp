#include "host/session.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/app.h"
#include "host/alarm.h"
#include "host/console.h"
#include "host/heap.h"
#include "host/hook.h"
#include "host/inputs.h"
#include "host/link.h"
#include "host/panic.h"

namespace host {
namespace {

StartInfo info{};
uint8_t stop_mask = 0;
uint32_t next_call = 1;

// Timed input, in order of time, first come first served among equals. A ring of copies.
struct Input {
    Cycles at;
    In type;
    uint32_t n;
    uint8_t* body;
};
constexpr size_t kMaxInputs = 65536;
Input* inputs = nullptr;
size_t input_first = 0;
size_t input_count = 0;
size_t input_cap = 0;

Input& input(size_t i) { return inputs[(input_first + i) % input_cap]; }

void grow_inputs() {
    size_t bigger = input_cap ? 2 * input_cap : 256;
    auto* fresh = static_cast<Input*>(std::malloc(bigger * sizeof(Input)));
    if (fresh == nullptr) link_broken("no memory for input");
    for (size_t i = 0; i < input_count; ++i) fresh[i] = input(i);
    std::free(inputs);
    inputs = fresh;
    input_cap = bigger;
    input_first = 0;
}

void put_input(In type, Reader body) {
    auto at_ns = body.take<uint64_t>();
    if (!body.ok) link_broken("input without a time");
    if (input_count == kMaxInputs) link_broken("too many inputs waiting");
    if (input_count == input_cap) grow_inputs();
    auto* copy = static_cast<uint8_t*>(std::malloc(body.left + 1));
    if (copy == nullptr) link_broken("no memory for input");
    std::memcpy(copy, body.at, body.left);
    Input fresh{cycles_from_ns(at_ns), type, static_cast<uint32_t>(body.left), copy};
    size_t i = input_count++;
    for (; i > 0 && input(i - 1).at > fresh.at; --i) input(i) = input(i - 1);
    input(i) = fresh;
}

Cycles next_input() { return input_count == 0 ? kNever : input(0).at; }

void deliver(const Input& in) {
    Reader body{in.body, in.n};
    if (in.type == In::console_rx) {
        console_input(body.at, body.left);
    } else if (in.type == In::net) {
        net_input(body);
    } else {
        bool reading = body.take<uint8_t>() != 0;
        auto rate = body.take<uint32_t>();
        if (!body.ok) link_broken("bad CONSOLE_HOST");
        console_host(reading, rate);
    }
}

void apply_inputs(Cycles until) {
    while (input_count > 0 && input(0).at <= until) {
        Input in = input(0);
        input_first = (input_first + 1) % input_cap;
        --input_count;
        deliver(in);
        std::free(in.body);
    }
}

void read_start() {
    Frame frame = link_read();
    Reader& body = frame.body;
    if (frame.type != In::start || body.take<uint16_t>() != kLinkVersion) link_broken("no START of our version");
    body.take<uint16_t>();  // flags: none are defined
    info.schedule_seed = body.take<uint64_t>();
    info.reset_reason = static_cast<hal::ResetReason>(body.take<uint8_t>());
    info.slot.index = body.take<uint8_t>();
    info.slot.state = static_cast<hal::SlotState>(body.take<uint8_t>());
    body.take<uint8_t>();
    info.slot.size = body.take<uint32_t>();
    body.take_bytes(info.mac, sizeof info.mac);
    body.take_bytes(info.slot.sha256, sizeof info.slot.sha256);
    info.heap_bytes = body.take<uint32_t>();
    info.first_sample_ns = body.take<uint64_t>();
    info.random_seed = body.take<uint32_t>();
    info.ip = body.take<uint32_t>();
    info.rssi_dbm = body.take<int8_t>();
    if (!body.ok) link_broken("START is too short");
    if (info.heap_bytes > (16u << 20) || !heap_begin(info.heap_bytes)) link_broken("no memory for the heap");
}

void send_ready() {
    frame_begin(Out::ready);
    frame_put(kLinkVersion);
    frame_bytes(cost_model(), std::strlen(cost_model()));
    frame_end();
    link_flush();
}

void send_reached(uint64_t now_ns) {
    frame_begin(Out::counts);
    frame_put(now_ns);
    frame_put(ns_from_cycles(core_state(0).busy));
    frame_put(ns_from_cycles(core_state(1).busy));
    frame_put(mic_lost());
    frame_put(heap_bytes_free());
    frame_put(heap_bytes_least());
    frame_end();
    frame_begin(Out::reached);
    frame_put(now_ns);
    frame_end();
    link_flush();
}

void run_grant(Reader body) {
    auto until_ns = body.take<uint64_t>();
    stop_mask = body.take<uint8_t>();
    if (!body.ok) link_broken("bad GRANT");
    Cycles end = cycles_from_ns(until_ns);
    Cycles reached = chip_run(end);
    console_advance(reached);
    send_reached(reached == end ? until_ns : ns_from_cycles(reached));
}

void take_mic(Reader body) {
    auto first = body.take<uint64_t>();
    if (!body.ok || body.left % 4 != 0) link_broken("bad MIC");
    mic_feed(first, body.at, body.left / 4);
}

// Arduino's loop task: it runs the core's start and is not needed any more.
void main_task(void*) {
    k1::start();
    heap_unreserve(running_task()->stack_bytes);
    wait_for(nullptr, kNever);
}

}  // namespace

const StartInfo& start_info() { return info; }
bool stop_on_net() { return (stop_mask & 1) != 0; }
bool stop_on_console() { return (stop_mask & 2) != 0; }

bool board_call(Call op, const CallPart* parts, size_t part_count, void* out, size_t cap, size_t* n_out) {
    uint32_t id = next_call++;
    frame_begin(Out::call);
    frame_put(id);
    frame_put(static_cast<uint8_t>(op));
    for (size_t i = 0; i < part_count; ++i) frame_bytes(parts[i].data, parts[i].n);
    frame_end();
    link_flush();
    Frame frame = link_read();
    if (frame.type == In::stop) link_leave(0);
    if (frame.type != In::reply || frame.body.take<uint32_t>() != id) link_broken("a CALL was not answered");
    bool good = frame.body.take<uint8_t>() != 0;
    if (!frame.body.ok) link_broken("bad REPLY");
    if (n_out != nullptr) *n_out = frame.body.left;
    if (out != nullptr) std::memcpy(out, frame.body.at, frame.body.left < cap ? frame.body.left : cap);
    return good;
}

void session_run() {
    read_start();
    chip_begin(info.schedule_seed);
    panic_install();
    add_source({next_input, apply_inputs});
    console_begin();
    net_begin(info.ip, info.rssi_dbm);
    alarm_begin();
    spawn_task({"loopTask", main_task, nullptr, 8192, 1, 1}, true);
    send_ready();
    for (;;) {
        Frame frame = link_read();
        switch (frame.type) {
            case In::grant: run_grant(frame.body); break;
            case In::mic: take_mic(frame.body); break;
            case In::console_rx:
            case In::console_host:
            case In::net: put_input(frame.type, frame.body); break;
            case In::stop: link_leave(0);
            default: link_broken("unexpected frame type");
        }
    }
}

}  // namespace host
