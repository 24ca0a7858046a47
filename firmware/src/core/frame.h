// The frame loop's record of itself, and the loop.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/pattern.h"
#include "hal/task.h"

namespace k1 {

struct FrameRecord {
    uint32_t seq;                   // rendered frames since boot
    uint64_t t_us;                  // start of transmission (or of its omission), clock_us()
    uint32_t render_us, quantize_us, transmit_us;
    uint32_t heap_free;
    uint64_t audio_us;              // newest sample the frame has seen
    uint8_t pattern;
    bool sent;
    bool capped;                    // the power cap dimmed this frame
};

// Last 64 frames and running means, for the API. Written by the render task, read by others.
class FrameLog {
  public:
    static constexpr size_t kDepth = 64;
    void begin();                                      // forgets everything
    void add(const FrameRecord& r);
    size_t copy(FrameRecord* out, size_t cap) const;   // oldest first
    float fps() const;                                 // over the last second
    size_t fps_history(float* out, size_t cap) const;  // one value a second, oldest first, at most 16
    uint32_t frames() const;                           // rendered since boot
    uint32_t sent() const;                             // transmitted since boot
    uint64_t last_sent_us() const;
    // Start stamps of recent transmissions, oldest first (ring of 256).
    size_t sent_times(uint64_t* out, size_t cap) const;
};

// Renders, processes, sends, paces. Owned by the render task; requests come from any task.
class FrameLoop {
  public:
    void begin();
    void step();                                       // one frame: called for ever by the render task
    bool select(uint8_t index);                        // takes effect at the next frame
    uint8_t selected() const;
    void set_latch_us(uint32_t us);
    uint32_t latch_us() const;
    void set_power_cap_ma(uint32_t ma);                // 0 = none
    uint32_t power_cap_ma() const;
    uint32_t power_ma() const;                         // estimate of the last sent frame, both strips
    uint32_t capped_frames() const;                    // frames the cap dimmed, since boot
    size_t last_frame(uint8_t* rgb, size_t cap, uint32_t* seq) const;   // the 480 bytes handed to strip A, untorn
    // Called at the end of each frame by the render task: must not wait (telemetry's queue).
    void set_observer(void (*fn)(const FrameRecord& r, const uint8_t* rgb));
};

ParamStore& params();
FrameLog& frame_log();
FrameLoop& frame_loop();

}  // namespace k1
