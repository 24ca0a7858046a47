// Clock, tasks, waiting: esp_timer and FreeRTOS.
#include <esp_timer.h>
#include <freertos/FreeRTOS.h>
#include <freertos/semphr.h>
#include <freertos/task.h>

#include "hal/clock.h"
#include "hal/task.h"

namespace hal {

namespace {

portMUX_TYPE offset_lock = portMUX_INITIALIZER_UNLOCKED;  // 64 bits are two words here
uint64_t offset_us = 0;

}  // namespace

uint64_t clock_us() {
    portENTER_CRITICAL_SAFE(&offset_lock);
    const uint64_t offset = offset_us;
    portEXIT_CRITICAL_SAFE(&offset_lock);
    return static_cast<uint64_t>(esp_timer_get_time()) + offset;
}

void clock_set(uint64_t us) {
    const uint64_t now = clock_us();
    if (us <= now) return;
    portENTER_CRITICAL_SAFE(&offset_lock);
    offset_us += us - now;
    portEXIT_CRITICAL_SAFE(&offset_lock);
}

bool spawn(const TaskSpec& s) {
    return xTaskCreatePinnedToCore(s.fn, s.name, s.stack_bytes, s.arg, s.priority, nullptr, s.core) == pdPASS;
}

namespace {

constexpr size_t kSleepers = 12;  // tasks that ever wait for less than a tick

struct Sleeper {
    TaskHandle_t task;
    esp_timer_handle_t timer;
};

Sleeper sleepers[kSleepers];
portMUX_TYPE sleepers_lock = portMUX_INITIALIZER_UNLOCKED;

void wake(void* task) { xTaskNotifyGive(static_cast<TaskHandle_t>(task)); }

// The calling task's one-shot timer; made at its first use, kept for its life.
esp_timer_handle_t my_timer() {
    const TaskHandle_t me = xTaskGetCurrentTaskHandle();
    Sleeper* mine = nullptr;
    portENTER_CRITICAL(&sleepers_lock);
    for (Sleeper& s : sleepers) {
        if (s.task == me || s.task == nullptr) {
            mine = &s;
            s.task = me;
            break;
        }
    }
    portEXIT_CRITICAL(&sleepers_lock);
    if (mine == nullptr) return nullptr;
    if (mine->timer == nullptr) {
        esp_timer_create_args_t args = {};
        args.callback = wake;
        args.arg = me;
        args.dispatch_method = ESP_TIMER_TASK;
        args.name = "sleep";
        if (esp_timer_create(&args, &mine->timer) != ESP_OK) return nullptr;
    }
    return mine->timer;
}

}  // namespace

void sleep_until_us(uint64_t t_us) {
    constexpr uint64_t kShortestUs = 50;  // below this the timer costs more than it gives
    const uint64_t now = clock_us();
    if (t_us <= now + kShortestUs) return;
    const esp_timer_handle_t timer = my_timer();
    if (timer == nullptr || esp_timer_start_once(timer, t_us - now) != ESP_OK) {
        vTaskDelay(pdMS_TO_TICKS((t_us - now + 999) / 1000));
        return;
    }
    ulTaskNotifyTake(pdTRUE, portMAX_DELAY);
}

void sleep_ms(uint32_t ms) { vTaskDelay(pdMS_TO_TICKS(ms) + 1); }

Signal::Signal() : impl_{xSemaphoreCreateBinary(), nullptr, nullptr, nullptr} {}

void Signal::give() {
    const SemaphoreHandle_t s = static_cast<SemaphoreHandle_t>(impl_[0]);
    if (xPortInIsrContext()) {
        BaseType_t woken = pdFALSE;
        xSemaphoreGiveFromISR(s, &woken);
        portYIELD_FROM_ISR(woken);
    } else {
        xSemaphoreGive(s);
    }
}

bool Signal::take(uint32_t timeout_ms) {
    const TickType_t ticks = timeout_ms == kForever ? portMAX_DELAY : pdMS_TO_TICKS(timeout_ms);
    return xSemaphoreTake(static_cast<SemaphoreHandle_t>(impl_[0]), ticks) == pdTRUE;
}

static_assert(sizeof(portMUX_TYPE) <= sizeof(uint32_t[4]), "SpinLock has no room for a portMUX");

SpinLock::SpinLock() : impl_{} {
    portMUX_TYPE fresh = portMUX_INITIALIZER_UNLOCKED;
    *reinterpret_cast<portMUX_TYPE*>(impl_) = fresh;
}

void SpinLock::lock() { portENTER_CRITICAL_SAFE(reinterpret_cast<portMUX_TYPE*>(impl_)); }
void SpinLock::unlock() { portEXIT_CRITICAL_SAFE(reinterpret_cast<portMUX_TYPE*>(impl_)); }

}  // namespace hal
