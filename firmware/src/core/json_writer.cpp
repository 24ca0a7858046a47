#include "core/json_writer.h"

#include "core/text.h"

namespace k1 {

void JsonWriter::before(const char* key) {
    const uint32_t bit = 1u << depth_;
    if ((filled_ & bit) != 0) raw(",", 1);
    filled_ |= bit;
    if (key != nullptr) {
        quoted(key);
        raw(":", 1);
    }
}

void JsonWriter::open(const char* key, char bracket) {
    before(key);
    raw(&bracket, 1);
    if (depth_ < 31) ++depth_;
    filled_ &= ~(1u << depth_);
}

void JsonWriter::close(char bracket) {
    raw(&bracket, 1);
    if (depth_ > 0) --depth_;
}

JsonWriter& JsonWriter::object(const char* key) { return open(key, '{'), *this; }
JsonWriter& JsonWriter::end_object() { return close('}'), *this; }
JsonWriter& JsonWriter::array(const char* key) { return open(key, '['), *this; }
JsonWriter& JsonWriter::end_array() { return close(']'), *this; }

JsonWriter& JsonWriter::num(const char* key, uint64_t v) {
    before(key);
    TextBuffer<24> t;
    t.u64(v);
    raw(t.c_str(), t.size());
    return *this;
}

JsonWriter& JsonWriter::inum(const char* key, int64_t v) {
    before(key);
    TextBuffer<24> t;
    t.i64(v);
    raw(t.c_str(), t.size());
    return *this;
}

JsonWriter& JsonWriter::real(const char* key, double v, unsigned decimals) {
    if (v != v || v > 1.7e308 || v < -1.7e308) return null(key);
    before(key);
    TextBuffer<32> t;
    t.real(v, decimals);
    raw(t.c_str(), t.size());
    return *this;
}

JsonWriter& JsonWriter::flag(const char* key, bool v) {
    before(key);
    if (v) raw("true", 4);
    else raw("false", 5);
    return *this;
}

JsonWriter& JsonWriter::null(const char* key) {
    before(key);
    raw("null", 4);
    return *this;
}

JsonWriter& JsonWriter::str(const char* key, const char* v) {
    before(key);
    quoted(v);
    return *this;
}

// Runs of ordinary characters go out in one piece. Bytes from 80 up are taken as UTF-8 and pass unchanged.
void JsonWriter::quoted(const char* s) {
    raw("\"", 1);
    const char* run = s;
    for (;; ++s) {
        const unsigned char c = static_cast<unsigned char>(*s);
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        raw(run, static_cast<size_t>(s - run));
        if (c == '\0') break;
        if (c == '"' || c == '\\') {
            const char pair[2] = {'\\', static_cast<char>(c)};
            raw(pair, 2);
        } else {
            const char code[6] = {'\\', 'u', '0', '0', static_cast<char>('0' + (c >> 4)), "0123456789abcdef"[c & 15]};
            raw(code, 6);
        }
        run = s + 1;
    }
    raw("\"", 1);
}

}  // namespace k1
