// The microphone: words become readable a DMA buffer at a time, at the moment its last word is sampled.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "hal/mic.h"
#include "host/chip.h"
#include "host/costs.h"
#include "host/inputs.h"
#include "host/link.h"
#include "host/session.h"

namespace {

using host::Cycles;

constexpr uint64_t kSampleNs = 78125;        // 12 800 Hz
constexpr uint32_t kRateHz = 12800;
constexpr uint64_t kBuffer = 64;             // words in a DMA buffer
constexpr uint64_t kBacklog = 8 * kBuffer;   // what the DMA keeps
constexpr size_t kTrimAt = 16384;
constexpr size_t kMostWords = 8u << 20;

// Words supplied by the board: one run without holes per entry of `runs`, all in `store`.
struct Run {
    uint64_t first;
    size_t offset;
    size_t n;
};
constexpr size_t kMaxRuns = 64;
int32_t* store = nullptr;
size_t store_used = 0;
size_t store_cap = 0;
Run runs[kMaxRuns];
size_t run_count = 0;

bool begun = false;
bool reader_waits = false;
size_t reader_wants = 0;
Cycles reader_deadline = 0;
uint64_t next_word = 0;       // index of the next word to hand out
uint32_t lost = 0;
const char wait_key = 0;

Cycles sampled_at(uint64_t index) {
    return host::cycles_from_ns(host::start_info().first_sample_ns + index * kSampleNs);
}

// Words sampled, in whole DMA buffers, by `t`.
uint64_t ready_by(Cycles t) {
    uint64_t ns = host::ns_from_cycles(t);
    uint64_t first = host::start_info().first_sample_ns;
    if (ns < first) return 0;
    return ((ns - first) / kSampleNs + 1) / kBuffer * kBuffer;
}

// When the buffer that holds word `end - 1` is complete.
Cycles readable_at(uint64_t end) { return sampled_at((end + kBuffer - 1) / kBuffer * kBuffer - 1); }

// Drops what lies before next_word, some thousand words at a time.
void trim() {
    size_t gone = 0;
    while (gone < run_count && runs[gone].first + runs[gone].n <= next_word) ++gone;
    std::memmove(runs, runs + gone, (run_count - gone) * sizeof(Run));
    run_count -= gone;
    if (run_count == 0) {
        store_used = 0;
        return;
    }
    Run& head = runs[0];
    size_t read = next_word > head.first ? static_cast<size_t>(next_word - head.first) : 0;
    size_t offset = head.offset + read;
    if (offset < kTrimAt) return;
    std::memmove(store, store + offset, (store_used - offset) * sizeof(int32_t));
    store_used -= offset;
    head = {head.first + read, head.offset + read, head.n - read};
    for (size_t i = 0; i < run_count; ++i) runs[i].offset -= offset;
}

// The supplied words [from, end), nullptr when the board has not supplied all of them.
const int32_t* supplied(uint64_t from, uint64_t end) {
    for (size_t i = 0; i < run_count; ++i) {
        const Run& run = runs[i];
        if (from >= run.first && end <= run.first + run.n) return store + run.offset + (from - run.first);
    }
    return nullptr;
}

// How many of the words [from, to) there were: a silent line loses nothing.
uint64_t count_supplied(uint64_t from, uint64_t to) {
    uint64_t n = 0;
    for (size_t i = 0; i < run_count; ++i) {
        uint64_t low = std::max(from, runs[i].first);
        uint64_t high = std::min(to, runs[i].first + runs[i].n);
        if (low < high) n += high - low;
    }
    return n;
}

// Where reading goes on: at the next word, or where words begin again after a silence of the line.
uint64_t resume_at() {
    if (run_count == 0 || runs[0].first <= next_word) return next_word;
    return (runs[0].first + kBuffer - 1) / kBuffer * kBuffer;
}

// A reader that comes late has lost what the DMA overwrote.
void catch_up() {
    uint64_t ready = ready_by(host::now());
    if (ready > next_word + kBacklog) {
        uint64_t gone = ready - kBacklog - next_word;
        lost += static_cast<uint32_t>(count_supplied(next_word, next_word + gone));
        next_word += gone;
    }
    trim();
}

// A reader that was to time out for want of words wakes when the new ones are due; it costs the chip nothing.
void retime_reader() {
    uint64_t end = resume_at() + reader_wants;
    if (supplied(end - reader_wants, end) != nullptr) host::retime(&wait_key, std::min(readable_at(end), reader_deadline));
}

void keep(const uint8_t* words, size_t n) {
    if (store_used + n > kMostWords) host::link_broken("too many microphone words");
    if (store_used + n > store_cap) {
        size_t bigger = std::max<size_t>(2 * store_cap, store_used + n);
        auto* fresh = static_cast<int32_t*>(std::realloc(store, bigger * sizeof(int32_t)));
        if (fresh == nullptr) host::link_broken("no memory for microphone words");
        store = fresh;
        store_cap = bigger;
    }
    std::memcpy(store + store_used, words, n * sizeof(int32_t));
    store_used += n;
}

}  // namespace

namespace host {

void mic_feed(uint64_t first_index, const uint8_t* words, size_t n) {
    if (n == 0) return;
    trim();
    Run* last = run_count > 0 ? &runs[run_count - 1] : nullptr;
    if (last != nullptr && first_index < last->first + last->n) link_broken("microphone words came twice");
    keep(words, n);
    if (last != nullptr && first_index == last->first + last->n) {
        last->n += n;
    } else {
        if (run_count == kMaxRuns) link_broken("microphone words have too many holes");
        runs[run_count++] = {first_index, store_used - n, n};
    }
    if (reader_waits) retime_reader();
}

uint32_t mic_lost() { return lost; }

}  // namespace host

namespace hal {

bool mic_begin(uint32_t rate_hz) {
    host::charge(host::cost::kMicRead);
    if (rate_hz != kRateHz) return false;
    next_word = ready_by(host::now());
    begun = true;
    return true;
}

MicStatus mic_read(int32_t* words, size_t n, uint32_t timeout_ms, uint64_t* t_last_us) {
    host::charge(host::cost::kMicRead + static_cast<uint32_t>(n));
    if (!begun || n == 0 || n > kBacklog) return MicStatus::error;
    Cycles deadline = host::now() + timeout_ms * host::kTick;
    for (;;) {
        catch_up();
        uint64_t end = resume_at() + n;
        const int32_t* from = supplied(end - n, end);
        Cycles due = from != nullptr ? readable_at(end) : host::kNever;
        if (due <= host::now()) {
            std::memcpy(words, from, n * sizeof(int32_t));
            next_word = end;
            *t_last_us = (host::start_info().first_sample_ns + (end - 1) * kSampleNs) / 1000 + host::clock_offset_us;
            return MicStatus::ok;
        }
        if (host::now() >= deadline) return MicStatus::timeout;
        reader_waits = true;
        reader_wants = n;
        reader_deadline = deadline;
        host::wait_for(&wait_key, std::min(due, deadline));
        reader_waits = false;
    }
}

uint32_t mic_overruns() {
    host::charge(host::cost::kSmall);
    return lost;
}

}  // namespace hal
