#include "core/telemetry.h"

#include <cstring>

#include "core/audio.h"
#include "core/sentence.h"
#include "core/stamp.h"
#include "hal/clock.h"
#include "hal/console.h"

namespace k1 {
namespace {

constexpr uint64_t kUnreadAfterUs = 250000;  // a line that found no room for so long has no reader
constexpr size_t kFrameSentenceMost = 128;   // ten numbers with their commas: longest case 126
constexpr uint32_t kBlockedWaitMs = 5;
constexpr uint32_t kActiveWaitMs = 50;       // events are not announced: they are looked for at least so often
constexpr uint32_t kIdleWaitMs = 1000;

Telemetry the_telemetry;

// Counters with one writer: a plain load and store, no atomic add needed.
void add_one(std::atomic<uint32_t>& counter) { counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }

}  // namespace

Telemetry& telemetry() { return the_telemetry; }

void Telemetry::set_frames(bool on) {
    frames_on_.store(on, std::memory_order_relaxed);
    wake_.give();
}

void Telemetry::set_pixels(PixelMode mode) {
    pixels_.store(mode, std::memory_order_relaxed);
    wake_.give();
}

bool Telemetry::line(const char* text, size_t n) {
    const bool kept = lines_.push(text, n);
    wake_.give();
    return kept;
}

uint32_t Telemetry::dropped() const {
    return dropped_by_frames_.load(std::memory_order_relaxed) + dropped_by_writer_.load(std::memory_order_relaxed);
}

bool Telemetry::line_waiting(const char* text, size_t n, uint32_t timeout_ms) {
    const uint64_t deadline = hal::clock_us() + timeout_ms * 1000u;
    while (!line(text, n)) {
        const uint64_t now = hal::clock_us();
        if (now >= deadline) return false;
        room_.take(static_cast<uint32_t>((deadline - now + 999) / 1000));
    }
    return true;
}

bool Telemetry::flush(uint32_t timeout_ms) {
    const uint64_t deadline = hal::clock_us() + timeout_ms * 1000u;
    while (!lines_.empty()) {
        const uint64_t now = hal::clock_us();
        if (now >= deadline) return false;
        wake_.give();
        room_.take(static_cast<uint32_t>((deadline - now + 999) / 1000));
    }
    return true;
}

void Telemetry::frame(const FrameRecord& record, const uint8_t* rgb) {
    const bool with_frame = frames_on();
    const PixelMode mode = pixels_.load(std::memory_order_relaxed);
    if (!with_frame && mode == PixelMode::off) return;
    const uint32_t tail = record_tail_.load(std::memory_order_relaxed);
    if (tail - record_head_.load(std::memory_order_acquire) >= kRecords) {
        if (with_frame) add_one(dropped_by_frames_);
        if (mode != PixelMode::off) add_one(dropped_by_frames_);
        return;
    }
    bool with_pixels = mode != PixelMode::off;
    if (with_pixels) {
        const uint32_t slot = pixel_tail_.load(std::memory_order_relaxed);
        if (slot - pixel_head_.load(std::memory_order_acquire) < kPixels) {
            memcpy(pixel_copies_[slot % kPixels].data(), rgb, kPixelBytes);
            pixel_tail_.store(slot + 1, std::memory_order_release);
            if (mode == PixelMode::once) pixels_.store(PixelMode::off, std::memory_order_relaxed);
        } else {
            with_pixels = false;
            add_one(dropped_by_frames_);
        }
    }
    records_[tail % kRecords] = Record{record, with_frame, with_pixels};
    record_tail_.store(tail + 1, std::memory_order_release);
    wake_.give();
}

uint32_t Telemetry::pump() {
    const bool clear = write_lines();
    write_records();
    write_events();
    if (!clear) return kBlockedWaitMs;
    return frames_on() ? kActiveWaitMs : kIdleWaitMs;
}

void Telemetry::run() {
    for (;;) wake_.take(pump());
}

// True when no line is left. A line without room holds up the sentences behind it (they would eat the room it waits for), but not
// for longer than a host that reads at all needs.
bool Telemetry::write_lines() {
    size_t n = 0;
    bool moved = false;
    while (const char* text = lines_.front(&n)) {
        const uint64_t now = hal::clock_us();
        if (hal::console_room() < n) {
            if (!line_blocked_) {
                line_blocked_ = true;
                blocked_since_us_ = now;
            }
            if (now - blocked_since_us_ < kUnreadAfterUs) break;
            lines_unread_ += 1;
        } else {
            hal::console_write(reinterpret_cast<const uint8_t*>(text), n);
            line_blocked_ = false;
        }
        lines_.pop();
        moved = true;
    }
    if (moved) room_.give();
    const bool clear = lines_.front(&n) == nullptr;
    if (clear) line_blocked_ = false;
    return clear;
}

// One sentence, all or nothing.
bool Telemetry::send(const char* data, size_t n) {
    if (line_blocked_ || hal::console_room() < n || hal::console_write(reinterpret_cast<const uint8_t*>(data), n) != n) {
        add_one(dropped_by_writer_);
        return false;
    }
    return true;
}

void Telemetry::write_records() {
    uint32_t head = record_head_.load(std::memory_order_relaxed);
    while (head != record_tail_.load(std::memory_order_acquire)) {
        const Record& r = records_[head % kRecords];
        if (r.with_frame) frame_sentence(r.frame);
        if (r.with_pixels) {
            const uint32_t slot = pixel_head_.load(std::memory_order_relaxed);
            pixel_sentence(r.frame, pixel_copies_[slot % kPixels].data());
            pixel_head_.store(slot + 1, std::memory_order_release);
        }
        record_head_.store(++head, std::memory_order_release);
    }
}

void Telemetry::frame_sentence(const FrameRecord& r) {
    // No room for the longest one: not worth forming it.
    if (line_blocked_ || hal::console_room() < kFrameSentenceMost) return add_one(dropped_by_writer_);
    Sentence s(sentence_, sizeof sentence_, "FRM");
    s.u32(r.seq).u64(r.t_us).u32(r.render_us).u32(r.quantize_us).u32(r.transmit_us).u32(r.heap_free);
    s.u64(r.audio_us).u32(r.pattern).u32(dropped()).flag(r.sent);
    if (s.finish()) send(s.data(), s.size());
    else add_one(dropped_by_writer_);
}

void Telemetry::pixel_sentence(const FrameRecord& r, const uint8_t* rgb) {
    Sentence s(sentence_, sizeof sentence_, "PIX");
    s.u32(r.seq).u64(r.t_us).base64(rgb, kPixelBytes);
    if (s.finish()) send(s.data(), s.size());
    else add_one(dropped_by_writer_);
}

// Events are taken out whether they are wanted or not: a full queue would keep the old ones and lose the new.
void Telemetry::write_events() {
    AudioEvent e;
    while (audio().next_event(&e)) {
        events_taken_ += 1;
        if (!frames_on()) continue;
        const bool beat = e.kind == AudioEvent::Kind::beat;
        Sentence s(sentence_, sizeof sentence_, beat ? "BEAT" : "ONS");
        s.u64(e.t_us);
        if (beat) s.real(static_cast<double>(e.bpm), 3);
        s.real(static_cast<double>(e.value), 4);
        if (s.finish()) send(s.data(), s.size());
        else add_one(dropped_by_writer_);
    }
}

}  // namespace k1
