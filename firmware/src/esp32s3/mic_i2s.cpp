// SPH0645 on I2S0: mono, 32-bit slots, 8 DMA buffers of one hop each.
#include <driver/i2s.h>
#include <esp_timer.h>
#include <freertos/FreeRTOS.h>

#include "board.h"
#include "hal/clock.h"
#include "hal/mic.h"

namespace hal {
namespace {

constexpr i2s_port_t kPort = I2S_NUM_0;
constexpr int kBuffers = 8, kBufferWords = 64;
uint32_t rate = 0;
uint64_t newest_us = 0;  // when the last word handed out was sampled
uint32_t lost = 0;

// The driver gives no capture time. The reader can only be late, never early, so the capture line is the lower edge of the
// read times: follow it down at once, up by 1/256 of the distance (covers +-40 ppm of crystal against 5 ms reads easily).
void follow(uint32_t words) {
    const uint64_t now = static_cast<uint64_t>(esp_timer_get_time());
    const uint64_t step = (static_cast<uint64_t>(words) * 1000000u) / rate;
    if (newest_us == 0) {
        newest_us = now;
        return;
    }
    newest_us += step;
    const uint64_t backlog = static_cast<uint64_t>(kBuffers) * kBufferWords * 1000000u / rate;
    if (newest_us > now) {
        newest_us = now;
    } else if (now - newest_us > backlog) {  // more than the DMA can hold: the rest was overwritten
        lost += static_cast<uint32_t>((now - newest_us - backlog) * rate / 1000000u);
        newest_us = now - backlog;
    } else {
        newest_us += (now - newest_us) / 256;
    }
}

}  // namespace

bool mic_begin(uint32_t rate_hz) {
    rate = rate_hz;
    i2s_config_t config = {};
    config.mode = static_cast<i2s_mode_t>(I2S_MODE_MASTER | I2S_MODE_RX);
    config.sample_rate = rate_hz;
    config.bits_per_sample = I2S_BITS_PER_SAMPLE_32BIT;
    config.channel_format = I2S_CHANNEL_FMT_ONLY_RIGHT;  // SEL of the microphone is high on K1
    config.communication_format = I2S_COMM_FORMAT_STAND_I2S;
    config.intr_alloc_flags = ESP_INTR_FLAG_LEVEL1;
    config.dma_buf_count = kBuffers;
    config.dma_buf_len = kBufferWords;
    config.use_apll = false;
    i2s_pin_config_t pins = {};
    pins.mck_io_num = I2S_PIN_NO_CHANGE;
    pins.bck_io_num = board::kMicBitClockPin;
    pins.ws_io_num = board::kMicWordClockPin;
    pins.data_out_num = I2S_PIN_NO_CHANGE;
    pins.data_in_num = board::kMicDataPin;
    // The clock follows from the configuration. A later i2s_set_clk(..., STEREO) would override the mono format and halve the pitch.
    return i2s_driver_install(kPort, &config, 0, nullptr) == ESP_OK && i2s_set_pin(kPort, &pins) == ESP_OK;
}

MicStatus mic_read(int32_t* words, size_t n, uint32_t timeout_ms, uint64_t* t_last_us) {
    size_t got = 0;
    if (i2s_read(kPort, words, n * sizeof(int32_t), &got, pdMS_TO_TICKS(timeout_ms)) != ESP_OK) return MicStatus::error;
    if (got != n * sizeof(int32_t)) {
        newest_us = 0;  // the line starts anew when the microphone is back
        return MicStatus::timeout;
    }
    follow(static_cast<uint32_t>(n));
    // The line runs on the timer itself: clock_set() must not look like an hour of lost words.
    *t_last_us = newest_us + (clock_us() - static_cast<uint64_t>(esp_timer_get_time()));
    return MicStatus::ok;
}

uint32_t mic_overruns() { return lost; }

}  // namespace hal
