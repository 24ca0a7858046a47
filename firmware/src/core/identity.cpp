#include "core/identity.h"

#include "core/build_info.h"
#include "core/stamp.h"
#include "core/telemetry.h"
#include "core/text.h"
#include "hal/kv.h"
#include "hal/net.h"

namespace k1 {
namespace {

constexpr uint32_t kProtocol = 1;
constexpr char kSpace[] = "k1";
constexpr char kBootCountKey[] = "boots";

Identity me;

uint32_t count_boot() {
    char value[12];
    uint32_t boots = 0;
    // A missing or broken value starts the count again at 1.
    if (hal::kv_get(kSpace, kBootCountKey, value, sizeof value)) parse_u32(value, text_length(value), &boots);
    ++boots;
    Text text(value, sizeof value);
    text.u32(boots);
    hal::kv_set(kSpace, kBootCountKey, value);
    return boots;
}

}  // namespace

void identity_begin() {
    me.reset_reason = hal::reset_reason();
    me.boot_count = count_boot();
    me.boot_id = hal::random_u32();
    hal::chip_mac(me.mac);
    me.slot = hal::slot_running();
}

const Identity& identity() { return me; }

void identity_confirmed() { me.slot.state = hal::SlotState::valid; }

const char* reset_reason_word(hal::ResetReason reason) {
    using R = hal::ResetReason;
    switch (reason) {
        case R::power_on: return "power_on";
        case R::external: return "external";
        case R::software: return "software";
        case R::panic: return "panic";
        case R::int_watchdog: return "int_watchdog";
        case R::task_watchdog: return "task_watchdog";
        case R::brownout: return "brownout";
        case R::usb: return "usb";
        default: return "unknown";
    }
}

const char* slot_state_word(hal::SlotState state) {
    using S = hal::SlotState;
    switch (state) {
        case S::fresh: return "new";
        case S::pending: return "pending";
        case S::valid: return "valid";
        case S::invalid: return "invalid";
        case S::aborted: return "aborted";
        default: return "undefined";
    }
}

void identity_fields(Sentence& s) {
    s.u32(kProtocol).word(kProject, 16).word(kVersion, 24).word(kGitCommit, 16).word(kBuildTime, 24);
    s.hex(me.slot.sha256, sizeof me.slot.sha256).word(reset_reason_word(me.reset_reason)).u32(me.boot_count).hex32(me.boot_id);
    s.mac(me.mac).ip(hal::net_ip()).u32(me.slot.index).word(slot_state_word(me.slot.state)).flag(kHilBuild).u64(stamp_now_us());
}

void identity_announce() {
    SentenceBuffer<LineQueue::kLineBytes> s("ID");
    identity_fields(s);
    if (s.finish()) telemetry().line(s.data(), s.size());
}

}  // namespace k1
