#include "core/app.h"

#include "core/audio.h"
#include "core/build_info.h"
#include "core/confirm.h"
#include "core/console.h"
#include "core/frame.h"
#include "core/identity.h"
#include "core/log.h"
#include "core/net_task.h"
#include "core/pattern.h"
#include "core/supervisor.h"
#include "core/telemetry.h"
#include "core/wifi_setup.h"
#include "hal/mic.h"
#include "hal/net.h"
#include "hal/strip.h"
#include "hal/system.h"
#include "hal/task.h"

namespace k1 {
namespace {

constexpr uint32_t kMicTimeoutMs = 100;
constexpr unsigned kFailuresToFallback = 3;

// One failed microphone read: told once per trouble, silence from the third on.
void mic_failed(hal::MicStatus status, unsigned failures) {
    if (failures == 1)
        LogLine(Severity::error, 'I').s(status == hal::MicStatus::timeout ? "[ERR_24] I2S read timeout" : "[ERR_25] I2S read error");
    if (failures == kFailuresToFallback) LogLine(Severity::warn, 'I').s("Entered I2S fallback mode");
    if (failures >= kFailuresToFallback) audio().dropout();
    // A driver that reports an error does so at once: without a pause this task would take the core for itself.
    if (status == hal::MicStatus::error) hal::sleep_ms(kMicTimeoutMs);
}

void audio_run(void*) {
    static int32_t words[kHop];
    unsigned failures = 0;
    for (;;) {
        uint64_t t_last_us = 0;
        const hal::MicStatus status = hal::mic_read(words, kHop, kMicTimeoutMs, &t_last_us);
        if (status != hal::MicStatus::ok) {
            if (failures < kFailuresToFallback + 1) ++failures;
            mic_failed(status, failures);
            continue;
        }
        if (failures >= kFailuresToFallback) LogLine(Severity::info, 'I').s("Recovered from I2S fallback mode");
        failures = 0;
        audio().process(words, kHop, t_last_us, params().read());
    }
}

void render_run(void*) {
    for (;;) frame_loop().step();
}

void telemetry_run(void*) { telemetry().run(); }

void on_frame(const FrameRecord& record, const uint8_t* rgb) { telemetry().frame(record, rgb); }

// Priorities: sound and light before all else, each on its own core; the rest shares what the audio core has left, so that nothing
// of it can lengthen a render. Console before network: commands must work while a client is busy with the API.
constexpr hal::TaskSpec kTasks[] = {
    {"telemetry", telemetry_run, nullptr, 4096, 5, 0},  {"console", console_run, nullptr, 6144, 6, 0},
    {"audio", audio_run, nullptr, 8192, 20, 0},         {"render", render_run, nullptr, 8192, 20, 1},
    {"net", net_run, nullptr, 8192, 4, 0},              {"supervisor", supervisor_run, nullptr, 4096, 7, 0},
};

void start_hardware() {
    LogLine(Severity::info, 'L').s("Initializing LED strips (2 x ").u(kLeds).s(" WS2812)...");
    if (!hal::strip_begin()) hal::fail("the LED strips could not be initialised");
    LogLine(Severity::info, 'I').s("Initializing SPH0645 microphone...");
    // Without a microphone the device still makes light; the audio task reports the trouble and goes on trying.
    if (!hal::mic_begin(kSampleRateHz)) LogLine(Severity::error, 'I').s("[ERR_25] microphone could not be initialised");
}

void start_tasks() {
    for (const hal::TaskSpec& task : kTasks) {
        if (hal::spawn(task)) continue;
        TextBuffer<48> what;
        hal::fail(what.put("no memory for task ").put(task.name).c_str());
    }
    LogLine(Severity::info, '0').s("Dual-core tasks created successfully: ").u(sizeof kTasks / sizeof kTasks[0]);
}

}  // namespace

void start() {
    identity_begin();
    boot_confirmation().begin();   // first of all: whatever hangs from here on is rolled back
    LogLine(Severity::info, '0').s("=== K1.reinvented Starting ===");
    LogLine(Severity::info, '0').s("Build: ").s(kProject).s(" ").s(kVersion).s(" ").s(kGitCommit).s(" ").s(kBuildTime);
    start_hardware();
    audio().begin();
    frame_loop().begin();
    frame_loop().set_observer(on_frame);
    LogLine(Severity::info, '0').s("Loaded ").u(kPatternCount).s(" patterns");
    LogLine(Severity::info, '0').s("Starting pattern: ").s(kPatterns[frame_loop().selected()].name);
    if (!wifi_known()) LogLine(Severity::info, 'W').s("No WiFi credentials stored");
    hal::net_connect();
    start_tasks();
    identity_announce();
    LogLine(Severity::info, '0').s("Ready!");
}

}  // namespace k1
