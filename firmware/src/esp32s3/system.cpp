// The chip: identity, reset, heap, and one alarm above all tasks.
#include <esp_heap_caps.h>
#include <esp_system.h>
#include <esp_timer.h>

#include "hal/system.h"

extern "C" void esp_system_abort(const char* details) __attribute__((noreturn));

namespace hal {
namespace {

esp_timer_handle_t alarm_timer = nullptr;
void (*alarm_fn)() = nullptr;

// Runs in the esp_timer task: priority 22 of 25, above every task of ours, so a hung frame or audio task cannot hold it up.
void ring(void*) {
    if (alarm_fn != nullptr) alarm_fn();
}

constexpr uint32_t kHeapKind = MALLOC_CAP_8BIT | MALLOC_CAP_INTERNAL;

}  // namespace

ResetReason reset_reason() {
    switch (esp_reset_reason()) {
        case ESP_RST_POWERON: return ResetReason::power_on;
        case ESP_RST_EXT: return ResetReason::external;
        case ESP_RST_SW: return ResetReason::software;
        case ESP_RST_PANIC: return ResetReason::panic;
        case ESP_RST_INT_WDT: return ResetReason::int_watchdog;
        case ESP_RST_TASK_WDT: return ResetReason::task_watchdog;
        case ESP_RST_WDT: return ResetReason::int_watchdog;
        case ESP_RST_BROWNOUT: return ResetReason::brownout;
        default: return ResetReason::unknown;
    }
}

void chip_mac(uint8_t mac[6]) { esp_efuse_mac_get_default(mac); }
uint32_t random_u32() { return esp_random(); }
void restart() { esp_restart(); }
void fail(const char* what) { esp_system_abort(what); }

void* heap_take(size_t bytes) { return heap_caps_malloc(bytes, kHeapKind); }
void heap_give(void* p) { heap_caps_free(p); }
size_t heap_free() { return heap_caps_get_free_size(kHeapKind); }
size_t heap_least_free() { return heap_caps_get_minimum_free_size(kHeapKind); }
size_t heap_total() { return heap_caps_get_total_size(kHeapKind); }

void alarm_set(uint64_t after_us, void (*fn)()) {
    alarm_fn = fn;
    if (alarm_timer == nullptr) {
        esp_timer_create_args_t args = {};
        args.callback = ring;
        args.dispatch_method = ESP_TIMER_TASK;
        args.name = "alarm";
        if (esp_timer_create(&args, &alarm_timer) != ESP_OK) fail("no memory for the alarm timer");
    }
    esp_timer_stop(alarm_timer);  // an error only says that it was not running
    esp_timer_start_once(alarm_timer, after_us);
}

void alarm_clear() {
    if (alarm_timer != nullptr) esp_timer_stop(alarm_timer);
    alarm_fn = nullptr;
}

}  // namespace hal
