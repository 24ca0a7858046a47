// The console: a 4 KiB transmit buffer that drains in packets at the rate the host reads, and a receive buffer.
#include "hal/console.h"

#include <algorithm>
#include <cstring>

#include "host/chip.h"
#include "host/console.h"
#include "host/costs.h"
#include "host/inputs.h"
#include "host/link.h"
#include "host/session.h"

namespace {

using host::Cycles;

constexpr size_t kTxBytes = 4096;
constexpr size_t kRxBytes = 65536;
constexpr size_t kPacket = 256;              // most bytes that leave with one stamp
constexpr uint64_t kCyclesPerSecond = 240'000'000;

uint8_t tx[kTxBytes];
size_t tx_first = 0;
size_t tx_count = 0;

bool reading = true;
uint32_t rate = 1'000'000;                   // bytes per second
size_t packet = 0;                           // bytes on their way; they still occupy the buffer
Cycles packet_done = host::kNever;

uint8_t rx[kRxBytes];
size_t rx_first = 0;
size_t rx_count = 0;

Cycles drain_time(size_t n) { return (n * kCyclesPerSecond + rate - 1) / rate; }

void start_packet(Cycles t) {
    if (packet > 0 || tx_count == 0 || !reading || rate == 0) return;
    packet = std::min(tx_count, kPacket);
    packet_done = t + drain_time(packet);
}

// Sends the packet in flight as one frame; the ring may wrap within it. True when it ended a line or emptied the buffer.
bool finish_packet() {
    host::frame_begin(host::Out::console_tx);
    host::frame_put(host::ns_from_cycles(packet_done));
    size_t straight = std::min(packet, kTxBytes - tx_first);
    host::frame_bytes(tx + tx_first, straight);
    host::frame_bytes(tx, packet - straight);
    host::frame_end();
    uint8_t last = tx[(tx_first + packet - 1) % kTxBytes];
    tx_first = (tx_first + packet) % kTxBytes;
    tx_count -= packet;
    Cycles done = packet_done;
    packet = 0;
    packet_done = host::kNever;
    start_packet(done);
    return last == '\n' || tx_count == 0;
}

// Packets interest the schedule only while the board waits for console output.
Cycles next_packet() { return host::stop_on_console() ? packet_done : host::kNever; }

void apply_packets(Cycles until) {
    while (packet_done <= until) {
        if (finish_packet()) host::request_stop();
    }
}

}  // namespace

namespace host {

void console_begin() { add_source({next_packet, apply_packets}); }

void console_advance(Cycles t) {
    while (packet_done <= t) finish_packet();
}

void console_print_at_once(const char* text, size_t n) {
    console_advance(now());
    if (!reading) return;
    frame_begin(Out::console_tx);
    frame_put(now_ns());
    frame_bytes(text, n);
    frame_end();
}

void console_input(const uint8_t* data, size_t n) {
    for (size_t i = 0; i < n && rx_count < kRxBytes; ++i) rx[(rx_first + rx_count++) % kRxBytes] = data[i];
    wake(rx);
}

void console_host(bool now_reading, uint32_t bytes_per_s) {
    console_advance(now());
    packet = 0;                              // a packet cut short is sent again
    packet_done = kNever;
    reading = now_reading;
    rate = bytes_per_s;
    start_packet(now());
}

}  // namespace host

namespace hal {

size_t console_write(const uint8_t* data, size_t n) {
    host::charge(host::cost::kConsole + 2 * static_cast<uint32_t>(std::min(n, kTxBytes)));
    host::console_advance(host::now());
    size_t taken = std::min(n, kTxBytes - tx_count);
    size_t at = (tx_first + tx_count) % kTxBytes;
    size_t straight = std::min(taken, kTxBytes - at);
    std::memcpy(tx + at, data, straight);
    std::memcpy(tx, data + straight, taken - straight);
    tx_count += taken;
    start_packet(host::now());
    if (host::stop_on_console()) host::end_slice();
    return taken;
}

size_t console_room() {
    host::charge(host::cost::kSmall);
    host::console_advance(host::now());
    return kTxBytes - tx_count;
}

size_t console_read(uint8_t* data, size_t cap) {
    host::charge(host::cost::kConsole);
    size_t n = std::min(cap, rx_count);
    for (size_t i = 0; i < n; ++i) data[i] = rx[(rx_first + i) % kRxBytes];
    rx_first = (rx_first + n) % kRxBytes;
    rx_count -= n;
    return n;
}

bool console_wait(uint32_t timeout_ms) {
    host::charge(host::cost::kConsole);
    Cycles deadline = host::now() + timeout_ms * host::kTick;
    while (rx_count == 0 && host::now() < deadline) host::wait_for(rx, deadline);
    return rx_count > 0;
}

}  // namespace hal
