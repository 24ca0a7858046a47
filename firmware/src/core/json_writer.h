// Writes JSON piece by piece to a sink; commas and escapes are its business. No document is ever held in memory here.
#pragma once
#include <cstddef>
#include <cstdint>

namespace k1 {

using WriteFn = void (*)(void* to, const char* data, size_t n);

class JsonWriter {
  public:
    JsonWriter(WriteFn write, void* to) : write_(write), to_(to) {}

    // Nesting of up to 31 levels; inside an object every value has a key, inside an array none (key = nullptr).
    JsonWriter& object(const char* key = nullptr);
    JsonWriter& end_object();
    JsonWriter& array(const char* key = nullptr);
    JsonWriter& end_array();

    JsonWriter& num(const char* key, uint64_t v);
    JsonWriter& inum(const char* key, int64_t v);
    // At most `decimals` (0-6) places; NaN and infinities become null.
    JsonWriter& real(const char* key, double v, unsigned decimals = 6);
    JsonWriter& flag(const char* key, bool v);
    JsonWriter& str(const char* key, const char* v);
    JsonWriter& null(const char* key);

    // Elements of an array.
    JsonWriter& num(uint64_t v) { return num(nullptr, v); }
    JsonWriter& real(double v, unsigned decimals = 6) { return real(nullptr, v, decimals); }
    JsonWriter& str_element(const char* v) { return str(nullptr, v); }

  private:
    void open(const char* key, char bracket);
    void close(char bracket);
    void before(const char* key);
    void quoted(const char* s);
    void raw(const char* s, size_t n) { write_(to_, s, n); }

    WriteFn write_;
    void* to_;
    unsigned depth_ = 0;
    uint32_t filled_ = 0;  // bit d: the value at depth d already has a member
};

}  // namespace k1
