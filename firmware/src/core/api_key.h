// An optional key for the HTTP API: kept in the key-value store, never logged, never returned.
#pragma once
#include <cstdint>

namespace k1 {

enum class KeyStored : uint8_t { ok, bad_value, storage };

// 16-64 letters, digits, '-' or '_'; "-" takes the key away, and every request is welcome again.
KeyStored api_key_store(const char* word);
// Whether a request that carries `given` ("" for none) may pass. Takes the same time wherever a wrong key differs.
bool api_key_allows(const char* given);

}  // namespace k1
