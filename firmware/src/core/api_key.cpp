#include "core/api_key.h"

#include <cstring>

#include "core/http_parser.h"
#include "core/text.h"
#include "hal/kv.h"

namespace k1 {
namespace {

constexpr size_t kMost = HttpRequest::kKeyMost, kLeast = 16;
constexpr char kSpace[] = "k1", kKey[] = "api_key";

bool key_char(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'; }

bool good(const char* s) {
    const size_t n = text_length(s);
    if (n < kLeast || n > kMost) return false;
    for (size_t i = 0; i < n; ++i)
        if (!key_char(s[i])) return false;
    return true;
}

}  // namespace

KeyStored api_key_store(const char* word) {
    if (text_equal(word, "-")) {
        char present[kMost + 1];
        if (!hal::kv_get(kSpace, kKey, present, sizeof present)) return KeyStored::ok;
        memset(present, 0, sizeof present);
        return hal::kv_erase(kSpace, kKey) ? KeyStored::ok : KeyStored::storage;
    }
    if (!good(word)) return KeyStored::bad_value;
    return hal::kv_set(kSpace, kKey, word) ? KeyStored::ok : KeyStored::storage;
}

// Both are compared over the whole buffer, filled up with zeros: neither content nor length shows in the time.
bool api_key_allows(const char* given) {
    char wanted[kMost + 1] = {}, got[kMost + 1] = {};
    if (!hal::kv_get(kSpace, kKey, wanted, sizeof wanted) || wanted[0] == '\0') return true;
    const size_t n = text_length(given);
    memcpy(got, given, n < kMost ? n : kMost);
    const bool same = equal_constant_time(wanted, got, kMost);
    memset(wanted, 0, sizeof wanted);
    return same;
}

}  // namespace k1
