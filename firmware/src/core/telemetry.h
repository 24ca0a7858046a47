// Telemetry: what happens in the device, as sentences on the console. One task writes; frame and audio tasks only drop records
// into bounded queues and never wait. What does not fit, or is not read by the host in time, is dropped and counted.
#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/frame.h"
#include "core/line_queue.h"
#include "hal/task.h"

namespace k1 {

enum class PixelMode : uint8_t { off, on, once };

class Telemetry {
  public:
    static constexpr size_t kRecords = 32;
    static constexpr size_t kPixels = 8;            // pixel copies waiting: 8 frames = 48 ms at 6 ms
    static constexpr size_t kPixelBytes = kLeds * 3;

    // For any task; nothing here waits.
    void set_frames(bool on);
    void set_pixels(PixelMode mode);
    bool frames_on() const { return frames_on_.load(std::memory_order_relaxed); }
    // A whole line with its line end: log lines and sentences made elsewhere. False when lost (counted).
    bool line(const char* text, size_t n);
    // Sentences lost since boot, of any type.
    uint32_t dropped() const;
    uint32_t lines_lost() const { return lines_.lost() + lines_unread_; }

    // For command replies: waits up to `timeout_ms` for a place. Only from the console task.
    bool line_waiting(const char* text, size_t n, uint32_t timeout_ms);
    // Waits until all lines have been handed to the console, `timeout_ms` at most (before a restart).
    bool flush(uint32_t timeout_ms);

    // The render task, at the end of each frame.
    void frame(const FrameRecord& record, const uint8_t* rgb);

    // One round of the telemetry task: writes what can be written. Returns how long to wait for the next wake-up, in ms.
    uint32_t pump();
    // The task: pump, wait, for ever.
    void run();
    // Events taken from the audio front end so far (beats and onsets).
    uint32_t events_taken() const { return events_taken_; }

  private:
    struct Record {
        FrameRecord frame;
        bool with_frame;
        bool with_pixels;
    };

    bool write_lines();
    void write_records();
    void write_events();
    bool send(const char* data, size_t n);
    void frame_sentence(const FrameRecord& r);
    void pixel_sentence(const FrameRecord& r, const uint8_t* rgb);

    hal::Signal wake_, room_;
    LineQueue lines_;
    std::atomic<bool> frames_on_{false};
    std::atomic<PixelMode> pixels_{PixelMode::off};

    // Single producer (render task), single consumer (telemetry task): free-running counters.
    std::array<Record, kRecords> records_;
    std::atomic<uint32_t> record_head_{0}, record_tail_{0};
    std::array<std::array<uint8_t, kPixelBytes>, kPixels> pixel_copies_;
    std::atomic<uint32_t> pixel_head_{0}, pixel_tail_{0};

    std::atomic<uint32_t> dropped_by_frames_{0};    // written by the render task alone
    std::atomic<uint32_t> dropped_by_writer_{0};    // written by the telemetry task alone
    uint32_t lines_unread_ = 0;
    uint32_t events_taken_ = 0;
    bool line_blocked_ = false;
    uint64_t blocked_since_us_ = 0;
    char sentence_[1024];
};

Telemetry& telemetry();

}  // namespace k1
