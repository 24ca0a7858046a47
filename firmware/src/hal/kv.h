// Small settings that survive a reset (NVS on the chip): name space, key (15 characters at most), text value.
#pragma once
#include <cstddef>

namespace hal {

// Copies the value with its terminating zero; false when absent or longer than cap - 1.
bool kv_get(const char* space, const char* key, char* value, size_t cap);
bool kv_set(const char* space, const char* key, const char* value);
bool kv_erase(const char* space, const char* key);

}  // namespace hal
