// Wi-Fi credentials: into the contract's keys of the key-value store, and nowhere else. Never logged, never returned.
#pragma once
#include <cstdint>

namespace k1 {

enum class WifiStored : uint8_t { ok, bad_value, storage };

// Both words may be percent-encoded. Name 1-32 bytes, password 8-63 bytes or 64 hexadecimal digits, or "-" for an open network.
// Connects with them on success.
WifiStored wifi_store(const char* ssid_word, const char* pass_word);
// Whether a name is stored.
bool wifi_known();

}  // namespace k1
