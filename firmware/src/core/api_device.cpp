// What the device is and how it is doing.
#include "core/api.h"
#include "core/audio.h"
#include "core/build_info.h"
#include "core/identity.h"
#include "core/stamp.h"
#include "core/telemetry.h"
#include "core/text.h"
#include "core/wifi_setup.h"
#include "hal/net.h"
#include "hal/system.h"

namespace k1 {
namespace api {
namespace {

constexpr char kDevice[] = "K1.reinvented";

float memory_percent() {
    const float total = static_cast<float>(hal::heap_total());
    return total > 0.0f ? 100.0f * (total - static_cast<float>(hal::heap_free())) / total : 0.0f;
}

}  // namespace

void test_connection(const HttpRequest&, HttpResponse& response) {
    response.json().object().str("status", "ok").num("timestamp", stamp_now_ms()).end_object();
}

void health(const HttpRequest&, HttpResponse& response) {
    TextBuffer<16> ip;
    ip.ip(hal::net_ip());
    JsonWriter j = response.json();
    j.object().str("status", "ok").num("uptime_ms", stamp_now_ms()).real("fps", static_cast<double>(frame_rate()), 2);
    j.real("cpu_percent", recent_means().compute_percent, 2).num("memory_free_kb", memory_free_kb());
    j.num("memory_total_kb", memory_total_kb()).flag("connected", hal::net_up());
    // The network's name is a credential: it is never told, only whether one is stored.
    j.object("wifi").str("ssid", wifi_known() ? "(stored)" : "").inum("rssi", hal::net_rssi_dbm()).str("ip", ip.c_str()).end_object();
    j.end_object();
}

void device_info(const HttpRequest&, HttpResponse& response) {
    const Identity& me = identity();
    TextBuffer<20> mac;
    TextBuffer<16> ip;
    TextBuffer<12> boot_id;
    TextBuffer<65> sha;
    mac.mac(me.mac);
    ip.ip(hal::net_ip());
    boot_id.hex32(me.boot_id);
    sha.hex(me.slot.sha256, sizeof me.slot.sha256);
    JsonWriter j = response.json();
    j.object().str("device", kDevice).num("uptime_ms", stamp_now_ms()).str("ip", ip.c_str()).str("mac", mac.c_str());
    j.object("build").str("platformio_platform", kPlatform).str("framework", kFramework).end_object();
    j.str("project", kProject).str("version", kVersion).str("git_commit", kGitCommit).str("build_time", kBuildTime);
    j.str("image_sha256", sha.c_str()).str("reset_reason", reset_reason_word(me.reset_reason)).num("boot_count", me.boot_count);
    j.str("boot_id", boot_id.c_str()).num("slot", me.slot.index).str("slot_state", slot_state_word(me.slot.state));
    j.flag("hil", kHilBuild).end_object();
}

void device_performance(const HttpRequest&, HttpResponse& response) {
    const FrameMeans means = recent_means();
    float history[16];
    const size_t seconds = frame_log().fps_history(history, 16);
    JsonWriter j = response.json();
    j.object().real("fps", static_cast<double>(frame_rate()), 2);
    j.real("frame_time_us", means.total_us, 1).real("render_avg_us", means.render_us, 1);
    j.real("quantize_avg_us", means.quantize_us, 1).real("rmt_wait_avg_us", 0).real("rmt_tx_avg_us", means.transmit_us, 1);
    j.real("cpu_percent", means.compute_percent, 2).real("memory_percent", memory_percent(), 2);
    j.num("memory_free_kb", memory_free_kb()).num("memory_total_kb", memory_total_kb());
    const AudioFrontEnd::EventQueue events = audio().event_queue();
    j.num("beat_queue_depth", events.depth).num("beat_queue_capacity", events.capacity).num("beat_overflows_total", events.lost);
    j.num("memory_least_free_kb", hal::heap_least_free() / 1024).num("telemetry_dropped", telemetry().dropped());
    j.num("power_ma", frame_loop().power_ma()).num("power_cap_ma", frame_loop().power_cap_ma());
    j.num("capped_frames", frame_loop().capped_frames());
    j.array("fps_history");
    for (size_t i = 0; i < seconds; ++i) j.real(static_cast<double>(history[i]), 2);
    j.end_array().end_object();
}

// Frames oldest first; `fps` of a frame is from its distance to the frame before (the first one: the running rate).
void frame_metrics(const HttpRequest&, HttpResponse& response) {
    size_t n = 0;
    const FrameRecord* const frames = recent_frames(&n);
    const FrameMeans means = frame_means(frames, n);
    const double running = static_cast<double>(frame_log().fps());
    JsonWriter j = response.json();
    j.object().num("frame_count", n).num("buffer_size", FrameLog::kDepth).real("avg_render_us", means.render_us, 1);
    j.real("avg_quantize_us", means.quantize_us, 1).real("avg_rmt_wait_us", 0).real("avg_rmt_tx_us", means.transmit_us, 1);
    j.real("avg_total_us", means.total_us, 1).array("frames");
    for (size_t i = 0; i < n; ++i) {
        const FrameRecord& f = frames[i];
        double fps = running;
        if (i > 0 && f.t_us > frames[i - 1].t_us) fps = 1e6 / static_cast<double>(f.t_us - frames[i - 1].t_us);
        j.object().num("render_us", f.render_us).num("quantize_us", f.quantize_us).num("rmt_wait_us", 0);
        j.num("rmt_tx_us", f.transmit_us).num("total_us", uint64_t{f.render_us} + f.quantize_us + f.transmit_us);
        j.num("heap_free", f.heap_free).real("fps", fps, 2).end_object();
    }
    j.end_array().end_object();
}

void metrics_text(const HttpRequest&, HttpResponse& response) {
    const FrameMeans means = recent_means();
    const AudioSnapshot sound = audio().snapshot();
    response.set_text();
    TextBuffer<384> t;
    t.put("k1_fps ").real(static_cast<double>(frame_rate()), 2).put("\nk1_frame_time_us ").real(static_cast<double>(means.total_us), 1);
    t.put("\nk1_cpu_percent ").real(static_cast<double>(means.compute_percent), 2).put("\nk1_memory_free_kb ").u32(memory_free_kb());
    t.put("\nk1_beat_events_count ").u32(sound.beats).put("\nk1_tempo_confidence ");
    t.real(static_cast<double>(sound.tempo_confidence)).put("\nk1_frames_rendered ").u32(frame_log().frames());
    t.put("\nk1_frames_sent ").u32(frame_log().sent()).put("\nk1_telemetry_dropped ").u32(telemetry().dropped()).put('\n');
    response.write(t.c_str(), t.size());
}

}  // namespace api
}  // namespace k1
