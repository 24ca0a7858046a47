// Console on the built-in USB-Serial/JTAG. The driver has no "room" query, so a ring of our own stands before it, emptied by a
// pump task that may wait for the host as long as it likes.
#include <driver/usb_serial_jtag.h>
#include <freertos/FreeRTOS.h>
#include <freertos/task.h>

#include "hal/console.h"
#include "hal/task.h"

namespace hal {
namespace {

constexpr size_t kRing = 4096;
uint8_t ring[kRing];
size_t head = 0, used = 0;      // guarded by `lock`
SpinLock lock;
Signal filled;

uint8_t pending[64];            // one packet read ahead by console_wait()
size_t pending_n = 0;
bool installed = false;

size_t take(uint8_t* out, size_t cap) {
    SpinGuard g(lock);
    size_t n = 0;
    for (; n < cap && used > 0; ++n, --used) {
        out[n] = ring[head];
        head = (head + 1) % kRing;
    }
    return n;
}

void pump(void*) {
    uint8_t chunk[64];          // one USB full-speed packet
    for (;;) {
        const size_t n = take(chunk, sizeof chunk);
        if (n == 0) {
            filled.take(Signal::kForever);
            continue;
        }
        size_t done = 0;
        while (done < n) {
            const int w = usb_serial_jtag_write_bytes(chunk + done, n - done, pdMS_TO_TICKS(1000));
            if (w > 0) done += static_cast<size_t>(w);
        }
    }
}

// First use installs the driver: the console must work before anything else does.
bool ready() {
    if (installed) return true;
    usb_serial_jtag_driver_config_t config = {};
    config.tx_buffer_size = 1024;
    config.rx_buffer_size = 1024;
    if (usb_serial_jtag_driver_install(&config) != ESP_OK) return false;
    installed = spawn({"usb_tx", pump, nullptr, 3072, 2, 0});
    return installed;
}

}  // namespace

size_t console_write(const uint8_t* data, size_t n) {
    if (!ready()) return 0;
    size_t taken = 0;
    {
        SpinGuard g(lock);
        for (; taken < n && used < kRing; ++taken, ++used) ring[(head + used) % kRing] = data[taken];
    }
    if (taken > 0) filled.give();
    return taken;
}

size_t console_room() {
    SpinGuard g(lock);
    return kRing - used;
}

size_t console_read(uint8_t* data, size_t cap) {
    if (!ready()) return 0;
    size_t n = 0;
    for (; n < cap && n < pending_n; ++n) data[n] = pending[n];
    for (size_t i = n; i < pending_n; ++i) pending[i - n] = pending[i];
    pending_n -= n;
    if (n < cap) {
        const int r = usb_serial_jtag_read_bytes(data + n, static_cast<uint32_t>(cap - n), 0);
        if (r > 0) n += static_cast<size_t>(r);
    }
    return n;
}

bool console_wait(uint32_t timeout_ms) {
    if (!ready()) {
        sleep_ms(timeout_ms);
        return false;
    }
    if (pending_n > 0) return true;
    const TickType_t ticks = timeout_ms == Signal::kForever ? portMAX_DELAY : pdMS_TO_TICKS(timeout_ms);
    const int r = usb_serial_jtag_read_bytes(pending, 1, ticks);
    pending_n = r > 0 ? static_cast<size_t>(r) : 0;
    return pending_n > 0;
}

}  // namespace hal
