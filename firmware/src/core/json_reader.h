// Reads one JSON object from memory, strictly (RFC 8259), without copying it. The whole text is checked before anything is used.
#pragma once
#include <cstddef>
#include <cstdint>

namespace k1 {

struct JsonValue {
    enum class Kind : uint8_t {
        absent,
        null,
        boolean,
        number,
        not_finite,  // NaN, Infinity, -Infinity: no JSON, but some writers send them; told apart so that a handler can name the field
        string,
        object,
        array,
    };
    Kind kind = Kind::absent;
    const char* text = nullptr;  // the value as written; strings without their quotes, escapes still in
    size_t n = 0;

    bool present() const { return kind != Kind::absent; }
    bool as_bool(bool* out) const;
    // Numbers only; magnitudes beyond a float give an infinity.
    bool as_real(float* out) const;
    // Numbers without fraction and exponent.
    bool as_integer(int64_t* out) const;
    // Strings only, escapes resolved to UTF-8, zero-terminated. False when it does not fit or holds a zero character.
    bool as_string(char* out, size_t cap) const;
};

class JsonObject {
  public:
    // The text must stay as it is while this object is used. False when it is not exactly one valid object (8 levels at most).
    bool parse(const char* text, size_t n);
    // A member of the top level; kind absent when there is none. When a key comes twice the last one counts.
    JsonValue find(const char* key) const;

  private:
    const char* text_ = nullptr;
    size_t n_ = 0;
};

}  // namespace k1
