#include "core/json_reader.h"

#include <cstring>

#include "core/text.h"

namespace k1 {
namespace {

constexpr unsigned kDepth = 8;

// A position in the text. Every take_ function moves behind what it took, or reports a fault.
struct Cursor {
    const char* p;
    const char* end;

    bool at(char c) const { return p < end && *p == c; }
    bool take(char c) {
        if (!at(c)) return false;
        ++p;
        return true;
    }
    bool take_word(const char* word) {
        const size_t n = text_length(word);
        if (static_cast<size_t>(end - p) < n || memcmp(p, word, n) != 0) return false;
        p += n;
        return true;
    }
    void skip_blanks() {
        while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) ++p;
    }
};

bool four_hex(const char* p, const char* end, unsigned* out) {
    if (end - p < 4) return false;
    unsigned v = 0;
    for (int i = 0; i < 4; ++i) {
        const int digit = hex_digit(p[i]);
        if (digit < 0) return false;
        v = v * 16 + static_cast<unsigned>(digit);
    }
    *out = v;
    return true;
}

char simple_escape(char c) {
    switch (c) {
        case '"': return '"';
        case '\\': return '\\';
        case '/': return '/';
        case 'b': return '\b';
        case 'f': return '\f';
        case 'n': return '\n';
        case 'r': return '\r';
        case 't': return '\t';
        default: return '\0';
    }
}

bool take_string(Cursor& c, JsonValue* out) {
    if (!c.take('"')) return false;
    out->kind = JsonValue::Kind::string;
    out->text = c.p;
    while (c.p < c.end) {
        const char ch = *c.p++;
        if (ch == '"') {
            out->n = static_cast<size_t>(c.p - 1 - out->text);
            return true;
        }
        if (static_cast<unsigned char>(ch) < 0x20) return false;
        if (ch != '\\') continue;
        if (c.p == c.end) return false;
        const char kind = *c.p++;
        unsigned unit = 0;
        if (kind == 'u') {
            if (!four_hex(c.p, c.end, &unit)) return false;
            c.p += 4;
        } else if (simple_escape(kind) == '\0') {
            return false;
        }
    }
    return false;
}

bool number_char(char c) { return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'; }

bool take_number(Cursor& c, JsonValue* out) {
    out->kind = JsonValue::Kind::number;
    out->text = c.p;
    while (c.p < c.end && number_char(*c.p)) ++c.p;
    out->n = static_cast<size_t>(c.p - out->text);
    float ignored = 0;
    return parse_real(out->text, out->n, &ignored);
}

bool take_word_value(Cursor& c, JsonValue* out) {
    using Kind = JsonValue::Kind;
    struct Word {
        const char* text;
        Kind kind;
    };
    static constexpr Word kWords[] = {{"true", Kind::boolean},       {"false", Kind::boolean},       {"null", Kind::null},
                                      {"NaN", Kind::not_finite},     {"Infinity", Kind::not_finite}, {"-Infinity", Kind::not_finite}};
    out->text = c.p;
    for (const Word& w : kWords) {
        if (!c.take_word(w.text)) continue;
        out->kind = w.kind;
        out->n = text_length(w.text);
        return true;
    }
    return false;
}

bool take_value(Cursor& c, unsigned depth, JsonValue* out);

bool take_array(Cursor& c, unsigned depth, JsonValue* out) {
    out->kind = JsonValue::Kind::array;
    out->text = c.p++;
    c.skip_blanks();
    if (!c.take(']')) {
        for (;;) {
            JsonValue ignored;
            if (!take_value(c, depth, &ignored)) return false;
            if (c.take(']')) break;
            if (!c.take(',')) return false;
        }
    }
    out->n = static_cast<size_t>(c.p - out->text);
    return true;
}

// With `key`, `found` gets that member's value.
bool take_object(Cursor& c, unsigned depth, JsonValue* out, const char* key, JsonValue* found) {
    out->kind = JsonValue::Kind::object;
    out->text = c.p;
    if (!c.take('{')) return false;
    c.skip_blanks();
    if (!c.take('}')) {
        for (;;) {
            JsonValue name, value;
            c.skip_blanks();
            if (!take_string(c, &name)) return false;
            c.skip_blanks();
            if (!c.take(':') || !take_value(c, depth, &value)) return false;
            char plain[48];
            if (key != nullptr && name.as_string(plain, sizeof plain) && text_equal(plain, key)) *found = value;
            if (c.take('}')) break;
            if (!c.take(',')) return false;
        }
    }
    out->n = static_cast<size_t>(c.p - out->text);
    return true;
}

// One value with the blanks around it.
bool take_value(Cursor& c, unsigned depth, JsonValue* out) {
    if (depth == 0) return false;
    c.skip_blanks();
    bool good = false;
    if (c.at('"')) good = take_string(c, out);
    else if (c.at('{')) good = take_object(c, depth - 1, out, nullptr, nullptr);
    else if (c.at('[')) good = take_array(c, depth - 1, out);
    else good = take_word_value(c, out) || take_number(c, out);
    c.skip_blanks();
    return good;
}

// Appends a code point as UTF-8; false when it does not fit.
bool put_utf8(unsigned code, char* out, size_t cap, size_t* n) {
    const size_t need = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    if (code == 0 || *n + need >= cap) return false;
    static constexpr unsigned char kLead[5] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = need; i-- > 1; code >>= 6) out[*n + i] = static_cast<char>(0x80 | (code & 63));
    out[*n] = static_cast<char>(need == 1 ? code : kLead[need] | code);
    *n += need;
    return true;
}

// The code point at p, behind "\u"; surrogate pairs are joined. Returns the characters used, 0 for a lone surrogate.
size_t escaped_code(const char* p, const char* end, unsigned* code) {
    unsigned low = 0;
    if (!four_hex(p, end, code)) return 0;
    if (*code < 0xD800 || *code > 0xDFFF) return 4;
    if (*code > 0xDBFF || end - p < 10 || p[4] != '\\' || p[5] != 'u' || !four_hex(p + 6, end, &low)) return 0;
    if (low < 0xDC00 || low > 0xDFFF) return 0;
    *code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
    return 10;
}

}  // namespace

bool JsonValue::as_bool(bool* out) const {
    if (kind != Kind::boolean) return false;
    *out = n == 4;
    return true;
}

bool JsonValue::as_real(float* out) const { return kind == Kind::number && parse_real(text, n, out); }

bool JsonValue::as_integer(int64_t* out) const {
    if (kind != Kind::number || n == 0) return false;
    const bool negative = text[0] == '-';
    uint64_t v = 0;
    if (!parse_u64(text + (negative ? 1 : 0), n - (negative ? 1 : 0), &v) || v > INT64_MAX) return false;
    *out = negative ? -static_cast<int64_t>(v) : static_cast<int64_t>(v);
    return true;
}

bool JsonValue::as_string(char* out, size_t cap) const {
    if (kind != Kind::string || cap == 0) return false;
    const char* const end = text + n;
    size_t w = 0;
    for (const char* p = text; p < end; ++p) {
        unsigned code = static_cast<unsigned char>(*p);
        if (*p == '\\') {
            ++p;
            if (*p == 'u') {
                const size_t used = escaped_code(p + 1, end, &code);
                if (used == 0) return false;
                p += used;
            } else {
                code = static_cast<unsigned char>(simple_escape(*p));
            }
            if (!put_utf8(code, out, cap, &w)) return false;
        } else {
            if (w + 1 >= cap) return false;
            out[w++] = *p;
        }
    }
    out[w] = '\0';
    return true;
}

bool JsonObject::parse(const char* text, size_t n) {
    text_ = nullptr;
    Cursor c{text, text + n};
    JsonValue whole;
    c.skip_blanks();
    if (!take_object(c, kDepth, &whole, nullptr, nullptr)) return false;
    c.skip_blanks();
    if (c.p != c.end) return false;
    text_ = text;
    n_ = n;
    return true;
}

JsonValue JsonObject::find(const char* key) const {
    JsonValue whole, found;
    if (text_ == nullptr) return found;
    Cursor c{text_, text_ + n_};
    c.skip_blanks();
    take_object(c, kDepth, &whole, key, &found);
    return found;
}

}  // namespace k1
