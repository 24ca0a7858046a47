#include "core/wifi_setup.h"

#include <cstring>

#include "core/text.h"
#include "hal/kv.h"
#include "hal/net.h"

namespace k1 {
namespace {

constexpr char kSpace[] = "wifi_creds";

bool good_password(const char* s) {
    const size_t n = text_length(s);
    if (n != 64) return n >= 8 && n <= 63;
    for (size_t i = 0; i < n; ++i)
        if (hex_digit(s[i]) < 0) return false;
    return true;
}

bool store(const char* ssid, const char* pass) {
    // "provisioned" tells K1 firmware to use the stored name instead of none.
    return hal::kv_set(kSpace, "ssid", ssid) && hal::kv_set(kSpace, "pass", pass) && hal::kv_set("device_state", "provisioned", "1");
}

}  // namespace

WifiStored wifi_store(const char* ssid_word, const char* pass_word) {
    char ssid[33], pass[65];
    const bool open = text_equal(pass_word, "-");
    if (!percent_decode(ssid_word, text_length(ssid_word), ssid, sizeof ssid) || ssid[0] == '\0') return WifiStored::bad_value;
    if (!percent_decode(pass_word, text_length(pass_word), pass, sizeof pass)) return WifiStored::bad_value;
    if (open) pass[0] = '\0';
    else if (!good_password(pass)) return WifiStored::bad_value;
    const bool stored = store(ssid, pass);
    memset(pass, 0, sizeof pass);
    if (!stored) return WifiStored::storage;
    hal::net_connect();
    return WifiStored::ok;
}

bool wifi_known() {
    char ssid[33];
    return hal::kv_get(kSpace, "ssid", ssid, sizeof ssid) && ssid[0] != '\0';
}

}  // namespace k1
