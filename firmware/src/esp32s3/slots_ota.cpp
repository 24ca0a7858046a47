// Application slots: esp_ota_ops. New images start life pending; the boot loader was built with roll-back.
#include <esp_ota_ops.h>
#include <esp_partition.h>
#include <esp_system.h>

#include <cstring>

#include "hal/slots.h"
#include "hal/system.h"

namespace hal {
namespace {

const esp_partition_t* target = nullptr;
esp_ota_handle_t writer = 0;

SlotState to_state(esp_ota_img_states_t s) {
    switch (s) {
        case ESP_OTA_IMG_NEW: return SlotState::fresh;
        case ESP_OTA_IMG_PENDING_VERIFY: return SlotState::pending;
        case ESP_OTA_IMG_VALID: return SlotState::valid;
        case ESP_OTA_IMG_INVALID: return SlotState::invalid;
        case ESP_OTA_IMG_ABORTED: return SlotState::aborted;
        default: return SlotState::undefined;
    }
}

}  // namespace

SlotInfo slot_running() {
    SlotInfo info = {};
    const esp_partition_t* p = esp_ota_get_running_partition();
    if (p == nullptr) return info;
    info.index = static_cast<uint8_t>(p->subtype - ESP_PARTITION_SUBTYPE_APP_OTA_0);
    info.size = p->size;
    esp_ota_img_states_t state = ESP_OTA_IMG_UNDEFINED;
    if (esp_ota_get_state_partition(p, &state) == ESP_OK) info.state = to_state(state);
    if (esp_partition_get_sha256(p, info.sha256) != ESP_OK) memset(info.sha256, 0, sizeof info.sha256);
    return info;
}

bool slot_begin(uint32_t bytes) {
    slot_abort();
    target = esp_ota_get_next_update_partition(nullptr);
    if (target == nullptr || bytes > target->size) {
        target = nullptr;
        return false;
    }
    // Sectors are erased as the data comes: erasing 1.9 MB at once would stop both cores' cached code for seconds.
    if (esp_ota_begin(target, OTA_WITH_SEQUENTIAL_WRITES, &writer) != ESP_OK) {
        target = nullptr;
        return false;
    }
    return true;
}

bool slot_write(const uint8_t* data, size_t n) { return target != nullptr && esp_ota_write(writer, data, n) == ESP_OK; }

bool slot_finish() {
    if (target == nullptr) return false;
    const esp_partition_t* done = target;
    target = nullptr;
    return esp_ota_end(writer) == ESP_OK && esp_ota_set_boot_partition(done) == ESP_OK;
}

void slot_abort() {
    if (target == nullptr) return;
    esp_ota_abort(writer);
    target = nullptr;
}

bool slot_confirm() { return esp_ota_mark_app_valid_cancel_rollback() == ESP_OK; }

void slot_roll_back() {
    esp_ota_mark_app_invalid_rollback_and_reboot();
    restart();  // only reached when there is no other image: a fresh start is all that is left
}

}  // namespace hal
