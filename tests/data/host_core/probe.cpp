// A stand-in for the core that does one thing per console line, so that the host layer can be tested alone.
#include <cstring>

#include "core/app.h"
#include "core/build_info.h"
#include "core/params.h"
#include "core/pattern.h"
#include "hal/clock.h"
#include "hal/console.h"
#include "hal/kv.h"
#include "hal/mic.h"
#include "hal/net.h"
#include "hal/slots.h"
#include "hal/strip.h"
#include "hal/system.h"
#include "hal/task.h"

namespace k1 {

const char kProject[] = "k1-sim";
const char kVersion[] = "0.0.1";
const char kGitCommit[] = "unknown";
const char kBuildTime[] = "1970-01-01T00:00:00Z";
const bool kHilBuild = true;

const Pattern kPatterns[] = {{"probe", "Pro\"be", "stand-in", true, false, nullptr, nullptr}};
const size_t kPatternCount = 1;
const ParamSpec kParamSpecs[kParamCount] = {{"brightness", &Params::brightness, 0, 1, 1, 0.01f, ParamKind::real}};

namespace {

hal::SpinLock lock;
hal::Signal ping, pong;
uint32_t shared = 0;
volatile uint32_t sink = 0;
volatile uint32_t bottom = 0xFFFFFFFF;
volatile uintptr_t nowhere = 4;
uint8_t leds[480];

void say(const char* text) {
    size_t n = 0;
    while (text[n] != 0) ++n;
    hal::console_write(reinterpret_cast<const uint8_t*>(text), n);
}

void say_number(const char* name, uint64_t value) {
    char text[64];
    size_t n = 0;
    while (name[n] != 0 && n < 30) text[n] = name[n], ++n;
    text[n++] = '=';
    char digits[24];
    size_t d = 0;
    do digits[d++] = static_cast<char>('0' + value % 10);
    while ((value /= 10) != 0);
    while (d > 0) text[n++] = digits[--d];
    text[n++] = '\n';
    hal::console_write(reinterpret_cast<const uint8_t*>(text), n);
}

[[gnu::noinline]] uint32_t recurse(uint32_t n) {
    volatile uint8_t room[200];
    room[n % 200] = static_cast<uint8_t>(n);
    return n == bottom ? 0 : recurse(n + 1) + room[(n + 1) % 200];
}

[[gnu::noinline]] void poke(volatile uint32_t* where) { *where = 7; }
[[gnu::noinline]] uint32_t peek(const volatile uint32_t* where) { return *where; }

void busy(uint32_t loops) {
    for (uint32_t i = 0; i < loops; ++i) sink = sink + i;
}

// Straight-line arithmetic: N multiplications and additions without a branch.
template <int N>
struct Chain {
    [[gnu::always_inline]] static float run(float x, float y) { return Chain<N - 1>::run(x * y + 1.5f, y); }
};
template <>
struct Chain<0> {
    [[gnu::always_inline]] static float run(float x, float) { return x; }
};
template <int N>
[[gnu::noinline]] float chain(float x, float y) {
    return Chain<N>::run(x, y);
}

volatile float factor = 0.99f;
uint8_t from[8192], to[8192];

template <typename F>
void time(const char* name, F work) {
    uint64_t before = hal::clock_us();
    for (int i = 0; i < 200; ++i) work();
    say_number(name, hal::clock_us() - before);
}

// Above all other tasks of its core, so that nothing else is in the figures.
void measure_task(void*) {
    time("loop1", [] { busy(500); });
    time("loop2", [] { busy(1000); });
    time("line1", [] { factor = chain<200>(factor, 0.5f); });
    time("line2", [] { factor = chain<400>(factor, 0.5f); });
    time("copy1", [] { memcpy(to, from, sizeof to / 2), sink = to[sink & 1]; });
    time("copy2", [] { memcpy(to, from, sizeof to), sink = to[sink & 1]; });
    for (;;) hal::sleep_ms(10000);
}

// Core 1: a frame every 8 ms.
void render_task(void*) {
    hal::strip_begin();
    for (uint32_t seq = 0;; ++seq) {
        uint64_t start = hal::clock_us();
        {
            hal::SpinGuard guard(lock);
            ++shared;
        }
        busy(3000);
        leds[0] = static_cast<uint8_t>(seq);
        hal::strip_send(leds, leds, 160, 60);
        hal::sleep_until_us(start + 8000);
    }
}

// Core 0: the microphone.
void audio_task(void*) {
    int32_t words[64];
    uint64_t t_us = 0;
    hal::mic_begin(12800);
    for (;;) {
        if (hal::mic_read(words, 64, 100, &t_us) != hal::MicStatus::ok) {
            say("mic timeout\n");
            continue;
        }
        busy(4000);
        hal::SpinGuard guard(lock);
        shared += static_cast<uint32_t>(words[0]);
    }
}

void echo_task(void*) {
    for (;;) {
        ping.take(hal::Signal::kForever);
        pong.give();
    }
}

void net_task(void*) {
    hal::Handle listener = hal::tcp_listen(80);
    for (;;) {
        hal::net_wait(&listener, 1, 1000);
        hal::NetAddr peer;
        hal::Handle h = hal::tcp_accept(listener, &peer);
        if (h == hal::kNoHandle) continue;
        uint8_t data[64];
        for (;;) {
            hal::net_wait(&h, 1, 1000);
            int n = hal::net_recv(h, data, sizeof data);
            if (n < 0) break;
            if (n > 0) hal::net_send(h, data, static_cast<size_t>(n));
        }
        hal::net_close(h);
    }
}

// Two tasks, one per core, quarrel over one lock. The order in which they win it goes into a hash.
hal::SpinLock quarrel;
uint32_t total = 0, order = 0, finished = 0;

void quarreller(void* arg) {
    for (int i = 0; i < 200; ++i) {
        quarrel.lock();
        uint32_t seen = total;
        busy(30);
        total = seen + 1;
        order = order * 31 + (arg != nullptr);
        quarrel.unlock();
        busy(40);
    }
    hal::SpinGuard guard(quarrel);
    ++finished;
    if (finished == 2) {
        say_number("total", total);
        say_number("order", order);
    }
}

void quarrel_task(void* arg) {
    quarreller(arg);
    for (;;) hal::sleep_ms(10000);
}

void delay_once(void*) {        // everything below waits for 100 ms
    uint64_t end = hal::clock_us() + 100000;
    while (hal::clock_us() < end) busy(10);
    for (;;) hal::sleep_ms(10000);
}

void hog(void*) {
    for (;;) busy(1000);
}

void report() {
    uint64_t before = hal::clock_us();
    ping.give();
    bool answered = pong.take(100);
    say(answered ? "pong\n" : "no pong\n");
    say_number("ping_us", hal::clock_us() - before);
    hal::kv_set("space", "key", "value");
    char value[16];
    say(hal::kv_get("space", "key", value, sizeof value) ? value : "absent");
    say("\n");
    void* a = hal::heap_take(1000);
    void* b = hal::heap_take(1u << 20);
    say(a != nullptr && b == nullptr ? "heap ok\n" : "heap wrong\n");
    hal::heap_give(a);
    say_number("heap_free", hal::heap_free());
    say_number("overruns", hal::mic_overruns());
}

void alarm_restart() { hal::restart(); }

void act(char verb) {
    switch (verb) {
        case 'r': report(); break;
        case 'm': hal::spawn({"measure", measure_task, nullptr, 4096, 20, 1}); break;
        case 'q':
            hal::spawn({"right", quarrel_task, &total, 2048, 6, 1});   // before the one that takes this core
            hal::spawn({"left", quarrel_task, nullptr, 2048, 6, 0});
            break;
        case 'd': hal::spawn({"delay", delay_once, nullptr, 2048, 20, 0}); break;
        case 'f':
            for (int i = 0; i < 100; ++i) say("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n");
            say_number("room", hal::console_room());
            break;
        case 's': poke(reinterpret_cast<uint32_t*>(nowhere)); break;
        case 'l': sink = peek(reinterpret_cast<uint32_t*>(nowhere)); break;
        case 'o': sink = recurse(0); break;
        case 'a': hal::fail("out of words"); break;
        case 'w': hal::spawn({"hog", hog, nullptr, 4096, 20, 0}); break;
        case 'i':
            lock.lock();
            for (;;) busy(1000);
            break;
        case 'b': hal::restart(); break;
        case 't': hal::alarm_set(300000, alarm_restart); hog(nullptr); break;
        case 'p': hal::console_write(nullptr, 40); break;
        case 'h': {
            auto* p = static_cast<uint8_t*>(hal::heap_take(32));
            for (int i = 0; i < 48; ++i) p[i] = 1;
            hal::heap_give(p);
            break;
        }
        default: say("?\n"); break;
    }
}

void console_task(void*) {
    for (;;) {
        hal::console_wait(hal::Signal::kForever);
        uint8_t c;
        while (hal::console_read(&c, 1) == 1) {
            if (c != '\n') act(static_cast<char>(c));
        }
    }
}

}  // namespace

void start() {
    say("hello\n");
    hal::spawn({"render", render_task, nullptr, 4096, 2, 1});
    hal::spawn({"audio", audio_task, nullptr, 4096, 10, 0});
    hal::spawn({"echo", echo_task, nullptr, 2048, 5, 1});
    hal::spawn({"net", net_task, nullptr, 4096, 3, 0});
    hal::spawn({"console", console_task, nullptr, 4096, 4, 0});
}

}  // namespace k1
