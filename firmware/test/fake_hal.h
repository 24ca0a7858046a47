// A hardware layer for unit tests: every function of hal/*.h over plain memory, with knobs and a log.
// Time stands still except for waits: whoever waits moves the clock, so tests never sleep.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "hal/clock.h"
#include "hal/console.h"
#include "hal/kv.h"
#include "hal/mic.h"
#include "hal/net.h"
#include "hal/slots.h"
#include "hal/strip.h"
#include "hal/system.h"
#include "hal/task.h"

namespace fake {

struct Restart {};                          // thrown by hal::restart()
struct RolledBack {};                       // thrown by hal::slot_roll_back()
struct Failed { std::string what; };        // thrown by hal::fail()

struct Clock {
    uint64_t now_us = 0;
    std::function<void()> on_wait;          // called before each wait gives up its time: may inject input
};

struct Tasks {
    std::vector<hal::TaskSpec> spawned;     // recorded, never run
    bool refuse = false;                    // spawn() fails
    int locks_held = 0;                     // a wait with a lock held fails the run
};

struct StripFrame {
    uint64_t start_us;
    uint32_t latch_us;
    std::vector<uint8_t> a, b;
};

struct Strip {
    std::vector<StripFrame> sent;
    bool begun = false;
    bool fail = false;                      // strip_send() reports a lost frame
    size_t keep = 4096;                     // older frames are dropped from `sent`
};

struct Mic {
    std::deque<int32_t> words;              // what mic_read() hands out
    hal::MicStatus empty = hal::MicStatus::timeout;   // answer when there are not enough
    uint32_t rate_hz = 0;
    uint64_t t_first_us = 0;                // time of word 0 since begin
    uint64_t taken = 0;
    uint32_t overruns = 0;
    bool begin_ok = true;
};

struct System {
    hal::ResetReason reason = hal::ResetReason::power_on;
    std::array<uint8_t, 6> mac{0x02, 0x4B, 0x31, 0x00, 0x00, 0x01};
    uint32_t random_state = 1;
    size_t heap_total = 320 * 1024;
    size_t heap_used = 0, heap_peak = 0;
    std::map<void*, size_t> blocks;         // live allocations: empty at the end means no leak
    uint64_t alarm_at_us = 0;
    void (*alarm)() = nullptr;              // nullptr: none set. Fires when a wait passes its time.
};

struct Console {
    std::string out;                        // all that was written
    std::deque<uint8_t> in;
    size_t room = 1u << 20;                 // falls with each write; set it to model a host that does not read
};

struct Stream {
    std::deque<uint8_t> in;                 // to the firmware
    std::string out;                        // from the firmware
    bool peer_closed = false;               // net_recv() gives -1 once `in` is empty
    bool closed = false;                    // firmware called net_close()
    size_t window = 1u << 20;               // bytes net_send() still takes
    size_t chunk = 1u << 20;                // most bytes one net_recv() gives
    hal::NetAddr peer{0x7F000001u, 40000};
};

struct Datagram { std::string data; hal::NetAddr addr; };

struct Udp { std::deque<Datagram> in; std::vector<Datagram> out; bool closed = false; };

struct Net {
    bool up = true;
    uint32_t ip = 0xC0A80117u;
    int rssi_dbm = -50;
    int connects = 0;                       // net_connect() calls
    bool connect_ok = true;                 // tcp_connect() succeeds
    std::map<hal::Handle, uint16_t> listeners;
    std::map<uint16_t, std::deque<hal::Handle>> waiting;    // by listener port
    std::map<hal::Handle, Stream> streams;
    std::map<hal::Handle, Udp> udp;
    std::map<hal::Handle, uint16_t> udp_port;
    std::vector<std::pair<hal::Handle, hal::NetAddr>> dialled;
    std::function<void(hal::Handle)> on_dial;               // after a successful tcp_connect(): script the peer here
    hal::Handle next = 1;
};

struct Slots {
    hal::SlotInfo info{0, 0x1E0000, hal::SlotState::valid, {}};
    bool begin_ok = true, write_ok = true, finish_ok = true, confirm_ok = true;
    bool open = false, finished = false, aborted = false, confirmed = false;
    uint32_t expected = 0;
    std::vector<uint8_t> image;
};

extern Clock clock;
extern Tasks tasks;
extern Strip strip;
extern Mic mic;
extern System system;
extern Console console;
extern std::map<std::string, std::string> kv;               // "space/key"
extern Net net;
extern Slots slots;

void reset();                                               // everything back to the state above
void advance_us(uint64_t us);                               // moves the clock, firing the alarm on the way
void console_type(const std::string& text);                 // text arrives at the console
hal::Handle dial_in(uint16_t port, const std::string& text = "");   // a client connects to a listener and has sent `text`
void send_to(hal::Handle h, const std::string& text);       // more bytes on a stream
void datagram(uint16_t port, const std::string& data, hal::NetAddr from);
// Feeds `n` samples (full scale 1.0) to the microphone as I2S words: 18 bits, left-justified.
void mic_feed(const float* samples, size_t n);
int32_t i2s_word(float sample);

}  // namespace fake
