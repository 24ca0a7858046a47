#include "fake_hal.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace fake {

Clock clock;
Tasks tasks;
Strip strip;
Mic mic;
System system;
Console console;
std::map<std::string, std::string> kv;
Net net;
Slots slots;

void reset() {
    for (auto& block : system.blocks) std::free(block.first);
    clock = Clock();
    tasks = Tasks();
    strip = Strip();
    mic = Mic();
    system = System();
    console = Console();
    kv.clear();
    net = Net();
    slots = Slots();
}

void advance_us(uint64_t us) {
    const uint64_t end = clock.now_us + us;
    if (system.alarm != nullptr && system.alarm_at_us <= end) {
        clock.now_us = system.alarm_at_us > clock.now_us ? system.alarm_at_us : clock.now_us;
        void (*fn)() = system.alarm;
        system.alarm = nullptr;
        fn();
    }
    if (end > clock.now_us) clock.now_us = end;
}

void console_type(const std::string& text) { console.in.insert(console.in.end(), text.begin(), text.end()); }

hal::Handle dial_in(uint16_t port, const std::string& text) {
    const hal::Handle h = net.next++;
    net.streams[h].in.assign(text.begin(), text.end());
    net.waiting[port].push_back(h);
    return h;
}

void send_to(hal::Handle h, const std::string& text) {
    std::deque<uint8_t>& in = net.streams.at(h).in;
    in.insert(in.end(), text.begin(), text.end());
}

void datagram(uint16_t port, const std::string& data, hal::NetAddr from) {
    for (auto& bound : net.udp_port)
        if (bound.second == port) net.udp[bound.first].in.push_back({data, from});
}

int32_t i2s_word(float sample) {
    const float s = sample > 0.999992f ? 0.999992f : (sample < -1.0f ? -1.0f : sample);
    const int32_t v = static_cast<int32_t>(std::lrint(s * 131072.0f));
    return v * 16384;
}

void mic_feed(const float* samples, size_t n) {
    for (size_t i = 0; i < n; ++i) mic.words.push_back(i2s_word(samples[i]));
}

// A wait of the code under test: input may arrive, then time passes. Waiting inside a critical section is a bug.
static void wait_us(uint64_t us) {
    if (tasks.locks_held != 0) {
        std::fprintf(stderr, "fake_hal: waiting with a spin lock held\n");
        std::abort();
    }
    if (clock.on_wait) clock.on_wait();
    advance_us(us);
}

}  // namespace fake

namespace hal {

using fake::wait_us;

uint64_t clock_us() { return fake::clock.now_us; }
void clock_set(uint64_t us) {
    if (us > fake::clock.now_us) fake::clock.now_us = us;
}

// ---- tasks

bool spawn(const TaskSpec& spec) {
    if (fake::tasks.refuse) return false;
    fake::tasks.spawned.push_back(spec);
    return true;
}

void sleep_until_us(uint64_t t_us) { wait_us(t_us > clock_us() ? t_us - clock_us() : 0); }
void sleep_ms(uint32_t ms) { wait_us(uint64_t(ms) * 1000); }

Signal::Signal() : impl_{} {}
void Signal::give() { impl_[0] = this; }
bool Signal::take(uint32_t timeout_ms) {
    if (impl_[0] == nullptr) wait_us(timeout_ms == kForever ? 0 : uint64_t(timeout_ms) * 1000);
    const bool given = impl_[0] != nullptr;
    impl_[0] = nullptr;
    return given;
}

SpinLock::SpinLock() : impl_{} {}
void SpinLock::lock() {
    if (impl_[0] != 0) {
        std::fprintf(stderr, "fake_hal: spin lock taken twice\n");
        std::abort();
    }
    impl_[0] = 1;
    ++fake::tasks.locks_held;
}
void SpinLock::unlock() {
    impl_[0] = 0;
    --fake::tasks.locks_held;
}

// ---- strip and microphone

bool strip_begin() { return fake::strip.begun = true; }

bool strip_send(const uint8_t* rgb_a, const uint8_t* rgb_b, size_t leds, uint32_t latch_us) {
    fake::StripFrame f{clock_us(), latch_us, {rgb_a, rgb_a + 3 * leds}, {rgb_b, rgb_b + 3 * leds}};
    if (!fake::strip.fail) fake::strip.sent.push_back(std::move(f));
    if (fake::strip.sent.size() > fake::strip.keep) fake::strip.sent.erase(fake::strip.sent.begin());
    wait_us(leds * 30 + latch_us);
    return !fake::strip.fail;
}

bool mic_begin(uint32_t rate_hz) {
    fake::mic.rate_hz = rate_hz;
    return fake::mic.begin_ok;
}

MicStatus mic_read(int32_t* words, size_t n, uint32_t timeout_ms, uint64_t* t_last_us) {
    fake::Mic& m = fake::mic;
    if (m.words.size() < n) wait_us(uint64_t(timeout_ms) * 1000);
    if (m.words.size() < n) return m.empty;
    for (size_t i = 0; i < n; ++i) {
        words[i] = m.words.front();
        m.words.pop_front();
    }
    m.taken += n;
    const uint64_t t = m.t_first_us + (m.taken - 1) * 1000000 / (m.rate_hz != 0 ? m.rate_hz : 12800);
    if (t > clock_us()) fake::clock.now_us = t;
    *t_last_us = t;
    return MicStatus::ok;
}

uint32_t mic_overruns() { return fake::mic.overruns; }

// ---- system

ResetReason reset_reason() { return fake::system.reason; }
void chip_mac(uint8_t mac[6]) { std::memcpy(mac, fake::system.mac.data(), 6); }
uint32_t random_u32() { return fake::system.random_state = fake::system.random_state * 1664525u + 1013904223u; }
void restart() { throw fake::Restart(); }
void fail(const char* what) { throw fake::Failed{what}; }

void* heap_take(size_t bytes) {
    fake::System& s = fake::system;
    if (bytes > s.heap_total - s.heap_used) return nullptr;
    void* p = std::malloc(bytes != 0 ? bytes : 1);
    s.blocks[p] = bytes;
    s.heap_used += bytes;
    if (s.heap_used > s.heap_peak) s.heap_peak = s.heap_used;
    return p;
}

void heap_give(void* p) {
    if (p == nullptr) return;
    const auto it = fake::system.blocks.find(p);
    if (it == fake::system.blocks.end()) {
        std::fprintf(stderr, "fake_hal: block given back that was not taken\n");
        std::abort();
    }
    fake::system.heap_used -= it->second;
    fake::system.blocks.erase(it);
    std::free(p);
}

size_t heap_free() { return fake::system.heap_total - fake::system.heap_used; }
size_t heap_least_free() { return fake::system.heap_total - fake::system.heap_peak; }
size_t heap_total() { return fake::system.heap_total; }

void alarm_set(uint64_t after_us, void (*fn)()) {
    fake::system.alarm_at_us = clock_us() + after_us;
    fake::system.alarm = fn;
}
void alarm_clear() { fake::system.alarm = nullptr; }

// ---- console

size_t console_write(const uint8_t* data, size_t n) {
    const size_t take = n < fake::console.room ? n : fake::console.room;
    fake::console.out.append(reinterpret_cast<const char*>(data), take);
    fake::console.room -= take;
    return take;
}
size_t console_room() { return fake::console.room; }
size_t console_read(uint8_t* data, size_t cap) {
    size_t n = 0;
    for (; n < cap && !fake::console.in.empty(); ++n) {
        data[n] = fake::console.in.front();
        fake::console.in.pop_front();
    }
    return n;
}
bool console_wait(uint32_t timeout_ms) {
    if (fake::console.in.empty()) wait_us(uint64_t(timeout_ms) * 1000);
    return !fake::console.in.empty();
}

// ---- key-value store

static std::string kv_name(const char* space, const char* key) { return std::string(space) + "/" + key; }

bool kv_get(const char* space, const char* key, char* value, size_t cap) {
    const auto it = fake::kv.find(kv_name(space, key));
    if (it == fake::kv.end() || it->second.size() + 1 > cap) return false;
    std::memcpy(value, it->second.c_str(), it->second.size() + 1);
    return true;
}
bool kv_set(const char* space, const char* key, const char* value) {
    if (std::strlen(key) > 15 || std::strlen(space) > 15) return false;
    fake::kv[kv_name(space, key)] = value;
    return true;
}
bool kv_erase(const char* space, const char* key) { return fake::kv.erase(kv_name(space, key)) != 0; }

// ---- network

bool net_up() { return fake::net.up; }
uint32_t net_ip() { return fake::net.up ? fake::net.ip : 0; }
int net_rssi_dbm() { return fake::net.up ? fake::net.rssi_dbm : 0; }
void net_connect() { ++fake::net.connects; }

Handle tcp_listen(uint16_t port) {
    const Handle h = fake::net.next++;
    fake::net.listeners[h] = port;
    return h;
}

Handle tcp_accept(Handle listener, NetAddr* peer) {
    const auto it = fake::net.listeners.find(listener);
    if (it == fake::net.listeners.end()) return kNoHandle;
    std::deque<Handle>& queue = fake::net.waiting[it->second];
    if (queue.empty()) return kNoHandle;
    const Handle h = queue.front();
    queue.pop_front();
    if (peer != nullptr) *peer = fake::net.streams.at(h).peer;
    return h;
}

Handle tcp_connect(const NetAddr& to, uint32_t timeout_ms) {
    if (!fake::net.connect_ok) {
        wait_us(uint64_t(timeout_ms) * 1000);
        return kNoHandle;
    }
    const Handle h = fake::net.next++;
    fake::net.streams[h].peer = to;
    fake::net.dialled.push_back({h, to});
    if (fake::net.on_dial) fake::net.on_dial(h);
    return h;
}

Handle udp_bind(uint16_t port) {
    const Handle h = fake::net.next++;
    fake::net.udp[h];
    fake::net.udp_port[h] = port;
    return h;
}

int net_recv(Handle h, uint8_t* data, size_t cap) {
    const auto it = fake::net.streams.find(h);
    if (it == fake::net.streams.end() || it->second.closed) return -1;
    fake::Stream& s = it->second;
    if (s.in.empty()) return s.peer_closed ? -1 : 0;
    size_t n = 0;
    for (; n < cap && n < s.chunk && !s.in.empty(); ++n) {
        data[n] = s.in.front();
        s.in.pop_front();
    }
    return static_cast<int>(n);
}

int net_send(Handle h, const uint8_t* data, size_t n) {
    const auto it = fake::net.streams.find(h);
    if (it == fake::net.streams.end() || it->second.closed) return -1;
    fake::Stream& s = it->second;
    if (s.peer_closed && s.in.empty()) return -1;
    const size_t take = n < s.window ? n : s.window;
    s.out.append(reinterpret_cast<const char*>(data), take);
    s.window -= take;
    return static_cast<int>(take);
}

int udp_recv(Handle h, uint8_t* data, size_t cap, NetAddr* from) {
    const auto it = fake::net.udp.find(h);
    if (it == fake::net.udp.end() || it->second.closed) return -1;
    if (it->second.in.empty()) return 0;
    const fake::Datagram d = it->second.in.front();
    it->second.in.pop_front();
    const size_t n = d.data.size() < cap ? d.data.size() : cap;
    std::memcpy(data, d.data.data(), n);
    if (from != nullptr) *from = d.addr;
    return static_cast<int>(n);
}

bool udp_send(Handle h, const uint8_t* data, size_t n, const NetAddr& to) {
    const auto it = fake::net.udp.find(h);
    if (it == fake::net.udp.end() || it->second.closed) return false;
    it->second.out.push_back({std::string(reinterpret_cast<const char*>(data), n), to});
    return true;
}

void net_close(Handle h) {
    fake::net.listeners.erase(h);
    fake::net.udp_port.erase(h);
    if (fake::net.streams.count(h) != 0) fake::net.streams[h].closed = true;
    if (fake::net.udp.count(h) != 0) fake::net.udp[h].closed = true;
}

static bool net_ready(Handle h) {
    const auto listener = fake::net.listeners.find(h);
    if (listener != fake::net.listeners.end()) return !fake::net.waiting[listener->second].empty();
    const auto stream = fake::net.streams.find(h);
    if (stream != fake::net.streams.end()) return !stream->second.in.empty() || stream->second.peer_closed;
    const auto udp = fake::net.udp.find(h);
    return udp != fake::net.udp.end() && !udp->second.in.empty();
}

bool net_wait(const Handle* handles, size_t n, uint32_t timeout_ms) {
    for (int pass = 0; pass < 2; ++pass) {
        for (size_t i = 0; i < n; ++i)
            if (net_ready(handles[i])) return true;
        if (pass == 0) wait_us(uint64_t(timeout_ms) * 1000);
    }
    return false;
}

// ---- slots

SlotInfo slot_running() { return fake::slots.info; }

bool slot_begin(uint32_t bytes) {
    fake::Slots& s = fake::slots;
    if (!s.begin_ok || bytes > s.info.size) return false;
    s.open = true;
    s.finished = s.aborted = false;
    s.expected = bytes;
    s.image.clear();
    return true;
}
bool slot_write(const uint8_t* data, size_t n) {
    fake::Slots& s = fake::slots;
    if (!s.open || !s.write_ok || s.image.size() + n > s.expected) return false;
    s.image.insert(s.image.end(), data, data + n);
    return true;
}
bool slot_finish() {
    fake::Slots& s = fake::slots;
    const bool ok = s.open && s.finish_ok && s.image.size() == s.expected;
    s.open = false;
    return s.finished = ok;
}
void slot_abort() {
    fake::slots.open = false;
    fake::slots.aborted = true;
}
bool slot_confirm() {
    if (!fake::slots.confirm_ok) return false;
    fake::slots.info.state = SlotState::valid;
    return fake::slots.confirmed = true;
}
void slot_roll_back() { throw fake::RolledBack(); }

}  // namespace hal
