// Settings in NVS. Text values, but for the contract's flags that K1 keeps as bytes.
#include <nvs.h>

#include <cstring>

#include "hal/kv.h"

namespace hal {
namespace {

// K1 keeps these as u8; text there would be unreadable to it after a change of firmware.
bool is_flag(const char* space, const char* key) {
    return strcmp(space, "device_state") == 0 && strcmp(key, "provisioned") == 0;
}

class Open {
  public:
    Open(const char* space, nvs_open_mode_t mode) : ok_(nvs_open(space, mode, &h_) == ESP_OK) {}
    ~Open() {
        if (ok_) nvs_close(h_);
    }
    Open(const Open&) = delete;
    Open& operator=(const Open&) = delete;
    bool ok() const { return ok_; }
    nvs_handle_t get() const { return h_; }

  private:
    nvs_handle_t h_ = 0;
    bool ok_;
};

}  // namespace

bool kv_get(const char* space, const char* key, char* value, size_t cap) {
    Open nvs(space, NVS_READONLY);
    if (!nvs.ok() || cap < 2) return false;
    if (is_flag(space, key)) {
        uint8_t v = 0;
        if (nvs_get_u8(nvs.get(), key, &v) != ESP_OK) return false;
        value[0] = v != 0 ? '1' : '0';
        value[1] = '\0';
        return true;
    }
    size_t n = cap;
    return nvs_get_str(nvs.get(), key, value, &n) == ESP_OK;
}

bool kv_set(const char* space, const char* key, const char* value) {
    Open nvs(space, NVS_READWRITE);
    if (!nvs.ok()) return false;
    const esp_err_t e = is_flag(space, key) ? nvs_set_u8(nvs.get(), key, value[0] == '1' ? 1 : 0)
                                            : nvs_set_str(nvs.get(), key, value);
    return e == ESP_OK && nvs_commit(nvs.get()) == ESP_OK;
}

bool kv_erase(const char* space, const char* key) {
    Open nvs(space, NVS_READWRITE);
    if (!nvs.ok()) return false;
    return nvs_erase_key(nvs.get(), key) == ESP_OK && nvs_commit(nvs.get()) == ESP_OK;
}

}  // namespace hal
