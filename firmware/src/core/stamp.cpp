#include "core/stamp.h"

#include "hal/clock.h"

namespace k1 {

uint64_t stamp_now_us() { return hal::clock_us(); }
uint32_t stamp_now_ms() { return static_cast<uint32_t>(hal::clock_us() / 1000); }

}  // namespace k1
