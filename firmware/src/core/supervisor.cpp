#include "core/supervisor.h"

#include "core/audio.h"
#include "core/confirm.h"
#include "core/frame.h"
#include "core/identity.h"
#include "core/log.h"
#include "core/telemetry.h"
#include "core/tempo_lock.h"
#include "hal/clock.h"
#include "hal/net.h"
#include "hal/task.h"

namespace k1 {
namespace {

constexpr uint32_t kTempoEvery = 3;        // looks
constexpr uint32_t kHeartbeatEvery = 10;
constexpr uint32_t kFrameRateEvery = 150;

Supervisor supervisor;

}  // namespace

void Supervisor::look(uint64_t now_us) {
    ++looks_;
    watch_network();
    const AudioSnapshot sound = audio().snapshot();
    boot_confirmation().step({frame_log().sent(), sound.updates, was_up_});
    if (looks_ % kTempoEvery == 0) tempo_lock().look(now_us, sound.tempo_bpm, sound.tempo_confidence);
    if (looks_ % kHeartbeatEvery == 0) heartbeat();
    if (looks_ % kFrameRateEvery == 0) frame_rate();
}

// The network's name is a credential and stays out of the log.
void Supervisor::watch_network() {
    const bool up = hal::net_up();
    if (up == was_up_) return;
    was_up_ = up;
    if (up) {
        LogLine(Severity::info, 'W').s("Connected to SSID @ ").ip(hal::net_ip());
        identity_announce();
    } else {
        LogLine(Severity::warn, 'W').s("WiFi connection lost");
    }
}

void Supervisor::heartbeat() {
    const AudioSnapshot s = audio().snapshot();
    const uint32_t frames = frame_log().frames();
    LogLine line(Severity::info, 'X');
    line.s("[HEARTBEAT] frames=+").u(frames - frames_).s(" audio=+").u(s.updates - updates_).s(" snap=").u(s.updates);
    line.s("(+").u(s.updates - updates_).s(") pat=").u(frame_loop().selected()).s(" vu=").r(static_cast<double>(s.vu), 3);
    line.s(" tempo=").r(static_cast<double>(s.tempo_confidence), 3).s(" silence=").u(s.silent ? 1 : 0);
    frames_ = frames;
    updates_ = s.updates;
}

void Supervisor::frame_rate() {
    LogLine(Severity::info, 'P').s("FPS: ").r(static_cast<double>(frame_log().fps()), 2);
    if (telemetry().lines_lost() > 0) LogLine(Severity::warn, 'P').s("Log lines lost: ").u(telemetry().lines_lost());
}

void supervisor_run(void*) {
    uint64_t next_us = hal::clock_us();
    for (;;) {
        supervisor.look(hal::clock_us());
        next_us += Supervisor::kLookUs;
        if (next_us < hal::clock_us()) next_us = hal::clock_us() + Supervisor::kLookUs;  // held up: no burst to catch up
        hal::sleep_until_us(next_us);
    }
}

}  // namespace k1
