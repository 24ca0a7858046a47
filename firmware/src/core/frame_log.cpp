// The record of recent frames: written by the render task, read by the API. Each entry is copied under the lock by
// itself, so no reader ever holds up the render task for longer than one entry.
#include <cstring>

#include "core/frame.h"

namespace k1 {

namespace {

constexpr size_t kSentDepth = 256;
constexpr size_t kFpsDepth = 16;

struct Log {
    FrameRecord frames[FrameLog::kDepth];
    uint64_t sent_us[kSentDepth];
    float fps[kFpsDepth];                // one per second
    uint32_t added, sent, seconds;       // counts; entry n lies at n % depth
    uint64_t second_start_us;
    uint32_t second_frames;
    uint64_t last_sent_us;
};

Log log;
hal::SpinLock lock;
FrameLog the_log;

// Copies entries added-cap .. added-1 of a ring, oldest first; entries overwritten meanwhile are left out.
template <typename T>
size_t copy_ring(const T* ring, size_t depth, const uint32_t& counter, T* out, size_t cap) {
    uint32_t end;
    {
        hal::SpinGuard guard(lock);
        end = counter;
    }
    size_t n = end < depth ? end : depth;
    if (n > cap) n = cap;
    size_t copied = 0;
    for (uint32_t k = end - static_cast<uint32_t>(n); k != end; ++k) {
        hal::SpinGuard guard(lock);
        if (counter - k <= depth) out[copied++] = ring[k % depth];
    }
    return copied;
}

}  // namespace

FrameLog& frame_log() { return the_log; }

void FrameLog::begin() {
    hal::SpinGuard guard(lock);
    std::memset(static_cast<void*>(&log), 0, sizeof log);
}

void FrameLog::add(const FrameRecord& r) {
    hal::SpinGuard guard(lock);
    log.frames[log.added++ % kDepth] = r;
    if (r.sent) {
        log.sent_us[log.sent++ % kSentDepth] = r.t_us;
        log.last_sent_us = r.t_us;
    }
    if (log.added == 1) log.second_start_us = r.t_us;
    else ++log.second_frames;
    const uint64_t passed_us = r.t_us - log.second_start_us;
    if (passed_us < 1000000) return;
    log.fps[log.seconds++ % kFpsDepth] = static_cast<float>(log.second_frames) * 1e6f / static_cast<float>(passed_us);
    log.second_start_us = r.t_us;
    log.second_frames = 0;
}

size_t FrameLog::copy(FrameRecord* out, size_t cap) const {
    return copy_ring(log.frames, kDepth, log.added, out, cap);
}

size_t FrameLog::fps_history(float* out, size_t cap) const {
    return copy_ring(log.fps, kFpsDepth, log.seconds, out, cap);
}

size_t FrameLog::sent_times(uint64_t* out, size_t cap) const {
    return copy_ring(log.sent_us, kSentDepth, log.sent, out, cap);
}

float FrameLog::fps() const {
    hal::SpinGuard guard(lock);
    return log.seconds == 0 ? 0.0f : log.fps[(log.seconds - 1) % kFpsDepth];
}

uint32_t FrameLog::frames() const {
    hal::SpinGuard guard(lock);
    return log.added;
}

uint32_t FrameLog::sent() const {
    hal::SpinGuard guard(lock);
    return log.sent;
}

uint64_t FrameLog::last_sent_us() const {
    hal::SpinGuard guard(lock);
    return log.last_sent_us;
}

}  // namespace k1
