#include "core/confirm.h"

#include "core/identity.h"
#include "core/log.h"
#include "core/telemetry.h"
#include "hal/clock.h"
#include "hal/slots.h"
#include "hal/system.h"
#include "hal/task.h"

namespace k1 {
namespace {

constexpr uint32_t kLastWordsMs = 100;

BootConfirmation the_confirmation;

// Above all tasks: they may all be stuck, so nothing of theirs (log, queues) is touched.
void time_is_up() { hal::slot_roll_back(); }

}  // namespace

BootConfirmation& boot_confirmation() { return the_confirmation; }

const char* BootConfirmation::missing(const SelfCheck& seen) {
    if (seen.frames_sent < kFramesNeeded) return "no LED frames sent";
    if (seen.audio_updates < kAudioUpdatesNeeded) return "no audio";
    return seen.network_up ? "nothing" : "no network";
}

BootConfirmation::Verdict BootConfirmation::judge(const SelfCheck& seen, uint64_t since_boot_us) {
    const bool works = seen.frames_sent >= kFramesNeeded && seen.audio_updates >= kAudioUpdatesNeeded;
    if (works && (seen.network_up || since_boot_us >= kNetworkGraceUs)) return Verdict::confirm;
    return since_boot_us >= kDeadlineUs ? Verdict::give_up : Verdict::waiting;
}

void BootConfirmation::begin() {
    pending_ = identity().slot.state == hal::SlotState::pending;
    if (pending_) hal::alarm_set(kTimerUs, time_is_up);
}

BootConfirmation::Verdict BootConfirmation::step(const SelfCheck& seen) {
    if (!pending_) return Verdict::settled;
    const Verdict verdict = judge(seen, hal::clock_us());
    if (verdict == Verdict::confirm) {
        if (!hal::slot_confirm()) {
            // Flash said no: still pending, so the next round tries again and the deadline stays in force.
            LogLine(Severity::error, '0').s("Image could not be confirmed");
            return Verdict::waiting;
        }
        hal::alarm_clear();
        pending_ = false;
        identity_confirmed();
        LogLine(Severity::info, '0').s("Image confirmed after self-check").s(seen.network_up ? "" : " (without network)");
    } else if (verdict == Verdict::give_up) {
        LogLine(Severity::error, '0').s("Self-check failed: ").s(missing(seen)).s("; rolling back");
        telemetry().flush(kLastWordsMs);
        hal::sleep_ms(kLastWordsMs);   // the line has left the queue, not yet the chip
        hal::slot_roll_back();
    }
    return verdict;
}

}  // namespace k1
