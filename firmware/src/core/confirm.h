// Boot confirmation: an image that came over the air stays pending until it has shown that it works. If it does not in time, it gives
// itself up and the boot loader returns to the old one. A timer above all tasks does the same when the tasks are stuck.
#pragma once
#include <cstdint>

namespace k1 {

struct SelfCheck {
    uint32_t frames_sent;      // LED frames transmitted since boot
    uint32_t audio_updates;    // audio frames since boot
    bool network_up;
};

class BootConfirmation {
  public:
    static constexpr uint32_t kFramesNeeded = 100;
    static constexpr uint32_t kAudioUpdatesNeeded = 100;
    static constexpr uint64_t kNetworkGraceUs = 15000000;   // after that a missing network is not the image's fault
    static constexpr uint64_t kDeadlineUs = 30000000;       // for everything
    static constexpr uint64_t kTimerUs = 32000000;          // the timer leaves the orderly way the first chance
    enum class Verdict : uint8_t { settled, waiting, confirm, give_up };

    // Pure: what to do `since_boot_us` after the start of a pending image.
    static Verdict judge(const SelfCheck& seen, uint64_t since_boot_us);
    // The first proof that is missing, as a word for the log.
    static const char* missing(const SelfCheck& seen);

    // At boot, before any task: sets the timer when the running image is pending.
    void begin();
    // Now and then by the supervisor: confirms, or rolls back and does not return.
    Verdict step(const SelfCheck& seen);
    bool pending() const { return pending_; }

  private:
    bool pending_ = false;
};

BootConfirmation& boot_confirmation();

}  // namespace k1
