// The contract's rate limit: one window per route, over all clients; only accepted requests start it anew.
#pragma once
#include <cstddef>
#include <cstdint>

namespace k1 {

class RateLimit {
  public:
    // 0: accepted, and counted as the newest. Otherwise the ms until the next request can be accepted. `now_us` is a timer, no stamp.
    uint32_t ask(uint64_t now_us, uint32_t window_ms) {
        const uint64_t window_us = static_cast<uint64_t>(window_ms) * 1000u;
        const uint64_t since_us = now_us - last_us_;
        if (used_ && since_us < window_us) return static_cast<uint32_t>((window_us - since_us + 999u) / 1000u);
        used_ = true;
        last_us_ = now_us;
        return 0;
    }

  private:
    uint64_t last_us_ = 0;
    bool used_ = false;
};

}  // namespace k1
