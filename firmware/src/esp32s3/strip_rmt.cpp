// Two WS2812 strips on two RMT transmitters, started together.
#include <driver/rmt.h>
#include <esp_attr.h>
#include <esp_rom_sys.h>

#include <cstring>

#include "board.h"
#include "hal/strip.h"

namespace hal {
namespace {

// 80 MHz APB / 2 = 25 ns per tick. High and low times are the middle of the WS2812B windows (datasheet: 400/850 and 800/450 ns, +-150).
constexpr uint8_t kClockDivider = 2;
constexpr uint32_t kT0High = 16, kT0Low = 34, kT1High = 32, kT1Low = 18;
constexpr size_t kMaxLeds = 160;
// An S3 transmitter owns 48 words; two blocks each halve the refill interrupts. Channel 0 then covers block 1 too, so the other strip is channel 2.
constexpr rmt_channel_t kChannels[2] = {RMT_CHANNEL_0, RMT_CHANNEL_2};

uint8_t wire[2][kMaxLeds * 3];  // GRB, alive until the transmission ends

// Called from the refill interrupt: bytes to pulses, most significant bit first.
void IRAM_ATTR to_pulses(const void* src, rmt_item32_t* dest, size_t src_size, size_t wanted, size_t* taken, size_t* made) {
    const uint8_t* bytes = static_cast<const uint8_t*>(src);
    size_t n = 0, items = 0;
    while (n < src_size && items + 8 <= wanted) {
        for (uint32_t bit = 0x80; bit != 0; bit >>= 1) {
            const bool one = (bytes[n] & bit) != 0;
            dest[items].level0 = 1;
            dest[items].duration0 = one ? kT1High : kT0High;
            dest[items].level1 = 0;
            dest[items].duration1 = one ? kT1Low : kT0Low;
            ++items;
        }
        ++n;
    }
    *taken = n;
    *made = items;
}

bool open_channel(rmt_channel_t channel, int pin) {
    rmt_config_t config = {};
    config.rmt_mode = RMT_MODE_TX;
    config.channel = channel;
    config.gpio_num = static_cast<gpio_num_t>(pin);
    config.clk_div = kClockDivider;
    config.mem_block_num = 2;
    config.tx_config.idle_level = RMT_IDLE_LEVEL_LOW;
    config.tx_config.idle_output_en = true;
    return rmt_config(&config) == ESP_OK && rmt_driver_install(channel, 0, 0) == ESP_OK &&
           rmt_translator_init(channel, to_pulses) == ESP_OK;
}

void to_wire(uint8_t* out, const uint8_t* rgb, size_t leds) {
    for (size_t i = 0; i < leds; ++i) {
        out[3 * i] = rgb[3 * i + 1];
        out[3 * i + 1] = rgb[3 * i];
        out[3 * i + 2] = rgb[3 * i + 2];
    }
}

}  // namespace

bool strip_begin() {
    return open_channel(kChannels[0], board::kStripPinA) && open_channel(kChannels[1], board::kStripPinB);
}

bool strip_send(const uint8_t* rgb_a, const uint8_t* rgb_b, size_t leds, uint32_t latch_us) {
    if (leds > kMaxLeds) return false;
    to_wire(wire[0], rgb_a, leds);
    to_wire(wire[1], rgb_b, leds);
    bool ok = true;
    for (int i = 0; i < 2; ++i) ok = rmt_write_sample(kChannels[i], wire[i], leds * 3, false) == ESP_OK && ok;
    // 4.8 ms of bits: 20 ms means that an interrupt was lost. Waiting for ever would freeze the light.
    for (int i = 0; i < 2; ++i) ok = rmt_wait_tx_done(kChannels[i], pdMS_TO_TICKS(20)) == ESP_OK && ok;
    if (ok) {
        esp_rom_delay_us(latch_us);
    } else {
        for (int i = 0; i < 2; ++i) rmt_tx_stop(kChannels[i]);
    }
    return ok;
}

}  // namespace hal
