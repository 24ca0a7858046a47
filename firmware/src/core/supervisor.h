// The supervisor task: boot confirmation, network changes, tempo lock, heartbeat lines. Ten looks a second.
#pragma once
#include <cstdint>

namespace k1 {

class Supervisor {
  public:
    static constexpr uint64_t kLookUs = 100000;
    // One look; the caller keeps the pace.
    void look(uint64_t now_us);

  private:
    void watch_network();
    void heartbeat();
    void frame_rate();

    uint32_t looks_ = 0;
    bool was_up_ = false;
    uint32_t frames_ = 0, updates_ = 0;
};

void supervisor_run(void*);

}  // namespace k1
