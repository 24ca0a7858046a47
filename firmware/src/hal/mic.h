// The I2S microphone (SPH0645: 18 significant bits, left-justified in 32-bit words).
#pragma once
#include <cstddef>
#include <cstdint>

namespace hal {

enum class MicStatus : uint8_t { ok, timeout, error };

bool mic_begin(uint32_t rate_hz);

// Waits for `n` words. `t_last_us` gets the device time at which the last of them was sampled at the microphone.
// The DMA keeps 8 x 64 words of backlog; what is not read in time is lost and counted.
MicStatus mic_read(int32_t* words, size_t n, uint32_t timeout_ms, uint64_t* t_last_us);

// Words lost because the reader came too late, since boot.
uint32_t mic_overruns();

}  // namespace hal
