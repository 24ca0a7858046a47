// The frame loop: pattern, colour pipeline, power cap, both strips, record, pace.
#include "core/frame.h"

#include <atomic>
#include <cstring>

#include "core/colour.h"
#include "core/math.h"
#include "core/power.h"
#include "hal/clock.h"
#include "hal/strip.h"
#include "hal/system.h"

namespace k1 {

namespace {

constexpr float kLongestStepS = 0.1f;      // after a stall patterns go on from where they were instead of jumping

// Everything only the render task touches.
struct Loop {
    Rgb leds[kLeds];
    uint8_t raw[kLeds * 3];
    uint8_t out[kLeds * 3];
    ColourPipeline pipeline;
    uint32_t seq;
    int32_t shown;                         // pattern that ran last, -1 at the start
    uint64_t before_us;                    // start of the last frame
    uint64_t due_us;                       // start of the next frame
};

Loop loop;

hal::SpinLock lock;                        // guards the two below
uint8_t last_rgb[kLeds * 3];
uint32_t last_seq;

std::atomic<uint32_t> wanted{kBootPattern};
std::atomic<uint32_t> latch{60};
std::atomic<uint32_t> cap_ma{0};
std::atomic<uint32_t> drawn_ma{0};
std::atomic<uint32_t> capped_count{0};
std::atomic<void (*)(const FrameRecord&, const uint8_t*)> observer{nullptr};

ParamStore the_params;
FrameLoop the_loop;

// Renders the wanted pattern into loop.leds or loop.raw.
const Pattern& render(uint64_t now_us, const Params& p, const AudioSnapshot& heard) {
    const uint32_t index = wanted.load(std::memory_order_relaxed);
    const Pattern& pattern = kPatterns[index];
    if (loop.shown != static_cast<int32_t>(index)) {
        loop.shown = static_cast<int32_t>(index);
        std::memset(static_cast<void*>(loop.leds), 0, sizeof loop.leds);
        std::memset(loop.raw, 0, sizeof loop.raw);
        if (pattern.start != nullptr) pattern.start();
    }
    const float dt_s = math::min(static_cast<float>(now_us - loop.before_us) * 1e-6f, kLongestStepS);
    loop.before_us = now_us;
    FrameContext context = {loop.leds, loop.raw, static_cast<double>(now_us) * 1e-6, dt_s, loop.seq, p, heard};
    pattern.render(context);
    return pattern;
}

// Colours to bytes, within the power cap. True when the cap acted.
bool quantize(const Pattern& pattern, const Params& p, float dt_s) {
    if (pattern.raw) std::memcpy(loop.out, loop.raw, sizeof loop.out);
    else loop.pipeline.process(loop.leds, loop.out, p, dt_s);
    uint32_t ma;
    const bool capped = limit_power(loop.out, cap_ma.load(std::memory_order_relaxed), &ma);
    drawn_ma.store(ma, std::memory_order_relaxed);
    if (capped) capped_count.store(capped_count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    return capped;
}

void keep_last_frame() {
    hal::SpinGuard guard(lock);
    std::memcpy(last_rgb, loop.out, sizeof last_rgb);
    last_seq = loop.seq;
}

// Waits for the next slot of an absolute schedule; a late frame starts the schedule anew: neither drift nor a burst.
void pace(float period_ms) {
    loop.due_us += static_cast<uint32_t>(math::round_to_int(period_ms * 1000.0f));
    const uint64_t now_us = hal::clock_us();
    if (loop.due_us < now_us) loop.due_us = now_us;
    else hal::sleep_until_us(loop.due_us);
}

}  // namespace

ParamStore& params() { return the_params; }
FrameLoop& frame_loop() { return the_loop; }

void FrameLoop::begin() {
    std::memset(static_cast<void*>(&loop), 0, sizeof loop);
    loop.pipeline.begin();
    frame_log().begin();
    loop.shown = -1;
    loop.before_us = loop.due_us = hal::clock_us();
}

void FrameLoop::step() {
    const Params p = params().read();
    const AudioSnapshot heard = audio().snapshot();
    const uint64_t before_us = loop.before_us;
    const uint64_t render_at = hal::clock_us();
    const Pattern& pattern = render(render_at, p, heard);
    const uint64_t quantize_at = hal::clock_us();
    const bool capped = quantize(pattern, p, static_cast<float>(render_at - before_us) * 1e-6f);
    keep_last_frame();
    const uint64_t transmit_at = hal::clock_us();
    const bool sent = hal::strip_send(loop.out, loop.out, kLeds, latch_us());
    const uint64_t done_at = hal::clock_us();

    FrameRecord record = {};
    record.seq = loop.seq++;
    record.t_us = transmit_at;
    record.render_us = static_cast<uint32_t>(quantize_at - render_at);
    record.quantize_us = static_cast<uint32_t>(transmit_at - quantize_at);
    record.transmit_us = static_cast<uint32_t>(done_at - transmit_at);
    record.heap_free = static_cast<uint32_t>(hal::heap_free());
    record.audio_us = heard.t_us;
    record.pattern = static_cast<uint8_t>(loop.shown);
    record.sent = sent;
    record.capped = capped;
    frame_log().add(record);
    void (*const watch)(const FrameRecord&, const uint8_t*) = observer.load(std::memory_order_relaxed);
    if (watch != nullptr) watch(record, loop.out);
    pace(p.frame_min_period_ms);
}

bool FrameLoop::select(uint8_t index) {
    if (index >= kPatternCount) return false;
    wanted.store(index, std::memory_order_relaxed);
    return true;
}

uint8_t FrameLoop::selected() const { return static_cast<uint8_t>(wanted.load(std::memory_order_relaxed)); }

void FrameLoop::set_latch_us(uint32_t us) { latch.store(us < 50 ? 50 : us > 1000 ? 1000 : us, std::memory_order_relaxed); }
uint32_t FrameLoop::latch_us() const { return latch.load(std::memory_order_relaxed); }
void FrameLoop::set_power_cap_ma(uint32_t ma) { cap_ma.store(ma, std::memory_order_relaxed); }
uint32_t FrameLoop::power_cap_ma() const { return cap_ma.load(std::memory_order_relaxed); }
uint32_t FrameLoop::power_ma() const { return drawn_ma.load(std::memory_order_relaxed); }
uint32_t FrameLoop::capped_frames() const { return capped_count.load(std::memory_order_relaxed); }

size_t FrameLoop::last_frame(uint8_t* rgb, size_t cap, uint32_t* seq) const {
    const size_t n = cap < sizeof last_rgb ? cap : sizeof last_rgb;
    hal::SpinGuard guard(lock);
    std::memcpy(rgb, last_rgb, n);
    if (seq != nullptr) *seq = last_seq;
    return n;
}

void FrameLoop::set_observer(void (*fn)(const FrameRecord& r, const uint8_t* rgb)) {
    observer.store(fn, std::memory_order_relaxed);
}

}  // namespace k1
