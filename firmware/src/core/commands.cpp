#include "core/commands.h"

#include <cstring>

#include "core/api_key.h"
#include "core/build_info.h"
#include "core/confirm.h"
#include "core/frame.h"
#include "core/identity.h"
#include "core/pattern.h"
#include "core/sentence.h"
#include "core/stamp.h"
#include "core/telemetry.h"
#include "core/text.h"
#include "core/wifi_setup.h"
#include "hal/clock.h"

namespace k1 {
namespace {

constexpr size_t kMostWords = 4;  // verb, two words, and one to notice a surplus

// The words of a line, zero-terminated copies.
struct Words {
    char memory[161];
    const char* at[kMostWords] = {"", "", "", ""};
    size_t n = 0;

    Words(const char* line, size_t length) {
        if (length > sizeof memory - 1) length = sizeof memory - 1;
        memcpy(memory, line, length);
        memory[length] = '\0';
        size_t i = 0;
        while (n < kMostWords) {
            while (i < length && is_blank(memory[i])) ++i;
            if (i >= length) break;
            at[n++] = memory + i;
            while (i < length && !is_blank(memory[i])) ++i;
            memory[i++] = '\0';
        }
    }
    static bool is_blank(char c) { return c == ' ' || c == '\t'; }
    bool is(size_t i, const char* word) const { return text_equal(at[i], word); }
};

void seal(Sentence& s, Reply* reply) { reply->n = s.finish() ? s.size() : 0; }

void acknowledge(Reply* reply, const char* verb, const char* detail) {
    Sentence s(reply->text, sizeof reply->text, "ACK");
    seal(s.word(verb, 16).word(detail, 64), reply);
}

void refuse(Reply* reply, const char* verb, const char* reason) {
    Sentence s(reply->text, sizeof reply->text, "NAK");
    seal(s.word(verb, 16).word(reason), reply);
}

void do_id(const Words&, Reply* reply) {
    Sentence s(reply->text, sizeof reply->text, "ID");
    identity_fields(s);
    seal(s, reply);
}

void do_telemetry(const Words& w, Reply* reply) {
    if (!w.is(1, "on") && !w.is(1, "off")) return refuse(reply, "telemetry", "bad_value");
    telemetry().set_frames(w.is(1, "on"));
    acknowledge(reply, "telemetry", w.at[1]);
}

void do_pixels(const Words& w, Reply* reply) {
    if (w.is(1, "on")) telemetry().set_pixels(PixelMode::on);
    else if (w.is(1, "off")) telemetry().set_pixels(PixelMode::off);
    else if (w.is(1, "once")) telemetry().set_pixels(PixelMode::once);
    else return refuse(reply, "pixels", "bad_value");
    acknowledge(reply, "pixels", w.at[1]);
}

bool good_token(const char* s) {
    size_t n = 0;
    for (; s[n] != '\0'; ++n) {
        const char c = s[n];
        const bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!plain) return false;
    }
    return n >= 1 && n <= 16;
}

void do_sync(const Words& w, Reply* reply) {
    if (!good_token(w.at[1])) return refuse(reply, "sync", "bad_value");
    Sentence s(reply->text, sizeof reply->text, "SYN");
    s.word(w.at[1]);
    seal(s.u64(stamp_now_us()), reply);
}

void do_select(const Words& w, Reply* reply) {
    uint32_t number = 0;
    int index = pattern_find(w.at[1]);
    if (index < 0 && parse_u32(w.at[1], text_length(w.at[1]), &number) && number < kPatternCount) index = static_cast<int>(number);
    if (index < 0 || !frame_loop().select(static_cast<uint8_t>(index))) return refuse(reply, "select", "unknown_pattern");
    acknowledge(reply, "select", kPatterns[index].id);
}

void do_param(const Words& w, Reply* reply) {
    const ParamSpec* spec = param_find(w.at[1]);
    if (spec == nullptr) return refuse(reply, "param", "unknown_param");
    float value = 0;
    if (!parse_real(w.at[2], text_length(w.at[2]), &value)) return refuse(reply, "param", "bad_value");
    const float taken = params().set(*spec, value);
    TextBuffer<64> detail;
    detail.put(spec->name).put('=').real(static_cast<double>(taken));
    acknowledge(reply, "param", detail.c_str());
}

void do_reset(const Words&, Reply* reply) {
    params().reset();
    acknowledge(reply, "reset", "defaults");
}

void do_latch(const Words& w, Reply* reply) {
    uint32_t us = 0;
    if (!parse_u32(w.at[1], text_length(w.at[1]), &us) || us < 50 || us > 1000) return refuse(reply, "latch", "bad_value");
    frame_loop().set_latch_us(us);
    acknowledge(reply, "latch", w.at[1]);
}

void do_cap(const Words& w, Reply* reply) {
    constexpr uint32_t kMostMa = 100000;  // five times what 320 LEDs on white draw
    uint32_t ma = 0;
    if (!parse_u32(w.at[1], text_length(w.at[1]), &ma) || ma > kMostMa) return refuse(reply, "cap", "bad_value");
    frame_loop().set_power_cap_ma(ma);
    TextBuffer<12> detail;
    acknowledge(reply, "cap", detail.u32(ma).c_str());
}

void do_clock(const Words& w, Reply* reply) {
    constexpr uint64_t kMostUs = 1000000000000000u;  // 31 years
    uint64_t us = 0;
    if (!kHilBuild) return refuse(reply, "clock", "not_hil");
    if (!parse_u64(w.at[1], text_length(w.at[1]), &us) || us > kMostUs) return refuse(reply, "clock", "bad_value");
    if (us < hal::clock_us()) return refuse(reply, "clock", "in_the_past");
    // The self-check's deadline is on this clock: a leap over it would roll a good image back.
    if (boot_confirmation().pending()) return refuse(reply, "clock", "unconfirmed");
    hal::clock_set(us);
    TextBuffer<24> detail;
    acknowledge(reply, "clock", detail.u64(us).c_str());
}

void do_wifi(const Words& w, Reply* reply) {
    switch (wifi_store(w.at[1], w.at[2])) {
        case WifiStored::ok: return acknowledge(reply, "wifi", "stored");
        case WifiStored::bad_value: return refuse(reply, "wifi", "bad_value");
        case WifiStored::storage: return refuse(reply, "wifi", "storage");
    }
}

void do_apikey(const Words& w, Reply* reply) {
    switch (api_key_store(w.at[1])) {
        case KeyStored::ok: return acknowledge(reply, "apikey", w.is(1, "-") ? "removed" : "stored");
        case KeyStored::bad_value: return refuse(reply, "apikey", "bad_value");
        case KeyStored::storage: return refuse(reply, "apikey", "storage");
    }
}

void do_reboot(const Words&, Reply* reply) {
    reply->after = AfterReply::restart;
    acknowledge(reply, "reboot", "now");
}

struct Command {
    const char* verb;
    size_t words;  // verb included
    void (*run)(const Words& w, Reply* reply);
};

constexpr Command kCommands[] = {
    {"id", 1, do_id},       {"telemetry", 2, do_telemetry}, {"pixels", 2, do_pixels}, {"sync", 2, do_sync}, {"select", 2, do_select},
    {"param", 3, do_param}, {"reset", 1, do_reset},         {"latch", 2, do_latch},   {"cap", 2, do_cap},   {"clock", 2, do_clock},
    {"wifi", 3, do_wifi},   {"apikey", 2, do_apikey},       {"reboot", 1, do_reboot},
};

}  // namespace

void command_line(const char* line, size_t n, Reply* reply) {
    reply->n = 0;
    reply->after = AfterReply::nothing;
    const Words w(line, n);
    if (w.n == 0) return;
    for (const Command& c : kCommands) {
        if (!w.is(0, c.verb)) continue;
        if (w.n < c.words) return refuse(reply, c.verb, "missing_word");
        if (w.n > c.words) return refuse(reply, c.verb, "surplus_word");
        return c.run(w, reply);
    }
    refuse(reply, w.at[0], "unknown_command");
}

void command_too_long(Reply* reply) {
    reply->after = AfterReply::nothing;
    refuse(reply, "line", "too_long");
}

}  // namespace k1
