// Boot confirmation, and the tempo lock the supervisor keeps.
#include <doctest/doctest.h>

#include <memory>
#include <string>

#include "core/confirm.h"
#include "core/identity.h"
#include "core/telemetry.h"
#include "core/tempo_lock.h"
#include "fake_hal.h"

using namespace k1;
using Verdict = BootConfirmation::Verdict;

namespace {

constexpr SelfCheck kAllWell{100, 100, true}, kNoNetwork{5000, 5000, false}, kDark{99, 5000, true}, kDeaf{5000, 99, true};

bool alarm_set() { return fake::system.alarm != nullptr; }

struct Boot {
    BootConfirmation confirmation;
    explicit Boot(hal::SlotState state) {
        fake::reset();
        fake::slots.info.state = state;
        telemetry().pump();
        fake::console.out.clear();
        fake::clock.on_wait = [] { telemetry().pump(); };
        identity_begin();
        confirmation.begin();
    }
    ~Boot() { fake::clock.on_wait = nullptr; }
};

}  // namespace

TEST_CASE("confirm: the rule") {
    const auto judge = BootConfirmation::judge;
    CHECK(judge(kAllWell, 0) == Verdict::confirm);
    CHECK(judge({0, 0, true}, 1000000) == Verdict::waiting);
    CHECK(judge(kDark, 29999999) == Verdict::waiting);
    CHECK(judge(kDark, 30000000) == Verdict::give_up);
    CHECK(judge(kDeaf, 30000000) == Verdict::give_up);
    CHECK(judge(kNoNetwork, 14999999) == Verdict::waiting);
    CHECK(judge(kNoNetwork, 15000000) == Verdict::confirm);
    CHECK(std::string(BootConfirmation::missing(kDark)) == "no LED frames sent");
    CHECK(std::string(BootConfirmation::missing(kDeaf)) == "no audio");
}

TEST_CASE("confirm: a serial-flashed image is never pending and never given up") {
    for (const hal::SlotState state : {hal::SlotState::undefined, hal::SlotState::valid, hal::SlotState::fresh}) {
        Boot boot(state);
        CHECK_FALSE(alarm_set());
        fake::advance_us(100000000);
        CHECK(boot.confirmation.step(kDark) == Verdict::settled);
        CHECK_FALSE(fake::slots.confirmed);
    }
}

TEST_CASE("confirm: a pending image that works is confirmed once, and the timer is off") {
    Boot boot(hal::SlotState::pending);
    CHECK(alarm_set());
    fake::advance_us(1000000);
    CHECK(boot.confirmation.step({0, 0, false}) == Verdict::waiting);
    CHECK(boot.confirmation.step(kAllWell) == Verdict::confirm);
    CHECK(fake::slots.confirmed);
    CHECK_FALSE(alarm_set());
    CHECK(identity().slot.state == hal::SlotState::valid);
    fake::advance_us(100000000);
    CHECK(boot.confirmation.step(kDark) == Verdict::settled);
}

TEST_CASE("confirm: a pending image that does not work is rolled back with a reason") {
    Boot boot(hal::SlotState::pending);
    fake::advance_us(30000000);
    CHECK_THROWS_AS(boot.confirmation.step(kDeaf), fake::RolledBack);
    CHECK(fake::console.out.find("Self-check failed: no audio; rolling back") != std::string::npos);
    CHECK_FALSE(fake::slots.confirmed);
}

TEST_CASE("confirm: when all tasks hang, the timer rolls back") {
    Boot boot(hal::SlotState::pending);
    fake::advance_us(31999999);
    CHECK_THROWS_AS(fake::advance_us(1), fake::RolledBack);
}

TEST_CASE("confirm: flash that refuses the mark is asked again, the deadline stays") {
    Boot boot(hal::SlotState::pending);
    fake::slots.confirm_ok = false;
    CHECK(boot.confirmation.step(kAllWell) == Verdict::waiting);
    CHECK(alarm_set());
    CHECK(boot.confirmation.pending());
    fake::slots.confirm_ok = true;
    CHECK(boot.confirmation.step(kAllWell) == Verdict::confirm);
}

TEST_CASE("tempo lock: hysteresis, time and steadiness") {
    auto lock = std::make_unique<TempoLock>();
    lock->look(1000, 0.0f, 0.9f);                 // no tempo, no lock
    CHECK_FALSE(lock->state().locked);
    CHECK(lock->state().since_us == 1000);
    lock->look(2000, 120.0f, 0.64f);
    CHECK_FALSE(lock->state().locked);
    lock->look(3000, 120.0f, 0.65f);
    CHECK(lock->state().locked);
    CHECK(lock->state().bpm == 120.0f);
    CHECK(lock->state().since_us == 3000);
    lock->look(4000, 121.0f, 0.45f);              // between the limits: stays
    CHECK(lock->state().locked);
    CHECK(lock->state().since_us == 3000);
    CHECK(lock->state().stability == doctest::Approx(0.75f));
    lock->look(5000, 121.0f, 0.39f);
    CHECK_FALSE(lock->state().locked);
    CHECK(lock->state().bpm == 0.0f);
    CHECK(lock->state().since_us == 5000);
}
