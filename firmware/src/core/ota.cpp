#include "core/ota.h"

#include "core/identity.h"
#include "core/log.h"
#include "core/telemetry.h"
#include "core/text.h"
#include "hal/clock.h"
#include "hal/kv.h"
#include "hal/slots.h"
#include "hal/system.h"
#include "hal/task.h"

namespace k1 {
namespace {

constexpr unsigned kCommandFlash = 0, kCommandAuth = 200;
constexpr unsigned kErrorAuth = 0, kErrorBegin = 1, kErrorConnect = 2, kErrorReceive = 3, kErrorEnd = 4;  // ArduinoOTA's numbers
constexpr size_t kPasswordMost = 64;
constexpr uint64_t kNothingDueUs = 1000000;
constexpr uint32_t kSayWaitMs = 1000;
constexpr uint32_t kRestartAfterMs = 100;

bool is_hex(const char* s, size_t n) {
    for (size_t i = 0; i < n; ++i)
        if (hex_digit(s[i]) < 0) return false;
    return true;
}

bool password(char out[kPasswordMost + 1]) { return hal::kv_get("k1", "ota_pass", out, kPasswordMost + 1) && out[0] != '\0'; }

// Splits at single blanks; returns how many words there were, at most `most`. The line's end does not belong to the last one.
size_t split(const char* s, size_t n, const char** word, size_t* length, size_t most) {
    while (n > 0 && (s[n - 1] == '\n' || s[n - 1] == '\r')) --n;
    size_t count = 0, first = 0;
    for (size_t i = 0; i <= n; ++i) {
        if (i < n && s[i] != ' ') continue;
        if (count == most) return most + 1;
        word[count] = s + first;
        length[count++] = i - first;
        first = i + 1;
    }
    return count;
}

}  // namespace

bool OtaReceiver::begin() {
    udp_ = hal::udp_bind(kPort);
    if (udp_ == hal::kNoHandle) return false;
    state_ = State::idle;
    return true;
}

void OtaReceiver::poll(uint64_t now_us) {
    if (state_ == State::off) return;
    char text[160];
    hal::NetAddr from;
    // At most a handful per round: a flood of datagrams must not keep the HTTP server waiting.
    for (int i = 0; i < 8; ++i) {
        const int n = hal::udp_recv(udp_, reinterpret_cast<uint8_t*>(text), sizeof text, &from);
        if (n <= 0) break;
        datagram(text, static_cast<size_t>(n), from, now_us);
    }
    if (state_ == State::challenged && now_us - since_us_ >= kAuthUs) state_ = State::idle;
    if (state_ == State::receiving) receive();
}

size_t OtaReceiver::collect(hal::Handle* out, size_t cap) const {
    size_t n = 0;
    if (state_ != State::off && n < cap) out[n++] = udp_;
    if (state_ == State::receiving && n < cap) out[n++] = tcp_;
    return n;
}

uint64_t OtaReceiver::next_us(uint64_t now_us) const {
    if (state_ == State::challenged) return since_us_ + kAuthUs;
    if (state_ == State::receiving) return since_us_ + kStallUs;
    return now_us + kNothingDueUs;
}

void OtaReceiver::tell(const hal::NetAddr& to, const char* text) {
    hal::udp_send(udp_, reinterpret_cast<const uint8_t*>(text), text_length(text), to);
}

// An invitation is good at any time but during an update; an answer only after a challenge. Anything else is not for us.
void OtaReceiver::datagram(const char* text, size_t n, const hal::NetAddr& from, uint64_t now_us) {
    if (state_ == State::receiving) return;
    if (n > 4 && text_equal(text, 4, "200 ")) {
        if (state_ == State::challenged) check_answer(text, n, from);
        return;
    }
    if (!parse_invitation(text, n, &invited_)) return;
    inviter_ = from;
    char secret[kPasswordMost + 1];
    if (password(secret)) {
        challenge(from, now_us);
    } else {
        tell(from, "OK");
        start(from);
    }
}

// "0 PORT SIZE MD5": only application images are taken.
bool OtaReceiver::parse_invitation(const char* text, size_t n, Invitation* out) const {
    const char* word[4];
    size_t length[4];
    uint32_t command = 0, port = 0;
    Invitation found = {};
    if (split(text, n, word, length, 4) != 4) return false;
    if (!parse_u32(word[0], length[0], &command) || !parse_u32(word[1], length[1], &port) || !parse_u32(word[2], length[2], &found.size))
        return false;
    if (command != kCommandFlash || port == 0 || port > 65535 || length[3] != 32 || !is_hex(word[3], 32)) return false;
    found.port = static_cast<uint16_t>(port);
    for (size_t i = 0; i < 32; ++i) {
        const int digit = hex_digit(word[3][i]);
        found.md5[i] = "0123456789abcdef"[digit];
    }
    *out = found;
    return true;
}

void OtaReceiver::challenge(const hal::NetAddr& from, uint64_t now_us) {
    Md5 md5;
    for (int i = 0; i < 4; ++i) {
        const uint32_t random = hal::random_u32();
        md5.add(reinterpret_cast<const uint8_t*>(&random), sizeof random);
    }
    md5.finish_hex(nonce_);
    TextBuffer<40> reply;
    tell(from, reply.put("AUTH ").put(nonce_).c_str());
    state_ = State::challenged;
    since_us_ = now_us;
}

// "200 CNONCE RESPONSE" with response = md5(md5(password):nonce:cnonce), from the address that was challenged. One try per challenge.
void OtaReceiver::check_answer(const char* text, size_t n, const hal::NetAddr& from) {
    if (from.ip != inviter_.ip || from.port != inviter_.port) return;
    state_ = State::idle;
    const char* word[3];
    size_t length[3];
    uint32_t command = 0;
    char secret[kPasswordMost + 1], hashed[33], expected[33];
    const bool formed = split(text, n, word, length, 3) == 3 && parse_u32(word[0], length[0], &command) && command == kCommandAuth &&
                        length[1] == 32 && length[2] == 32 && is_hex(word[1], 32) && is_hex(word[2], 32);
    bool right = false;
    if (formed && password(secret)) {
        Md5 md5;
        md5.add(secret);
        md5.finish_hex(hashed);
        md5.reset();
        md5.add(hashed);
        md5.add(":");
        md5.add(nonce_);
        md5.add(":");
        md5.add(reinterpret_cast<const uint8_t*>(word[1]), 32);
        md5.finish_hex(expected);
        right = equal_constant_time(expected, word[2], 32);
    }
    if (right) {
        tell(from, "OK");
        start(from);
    } else {
        tell(from, "Authentication Failed");
        LogLine(Severity::error, '0').s("OTA Error[").u(kErrorAuth).s("]: Auth Failed");
    }
}

// The update is begun before the connection: when it cannot begin, the sender never sees one.
void OtaReceiver::start(const hal::NetAddr& from) {
    state_ = State::idle;
    LogLine(Severity::info, '0').s("OTA Update starting...");
    if (identity().slot.state == hal::SlotState::pending)
        return give_up(kErrorBegin, "Begin Failed", "the running image is not confirmed yet", nullptr);
    if (invited_.size == 0 || !hal::slot_begin(invited_.size)) {
        TextBuffer<96> why;
        why.put("no slot for ").u32(invited_.size).put(" bytes; a slot holds ").u32(identity().slot.size);
        return give_up(kErrorBegin, "Begin Failed", why.c_str(), nullptr);
    }
    tcp_ = hal::tcp_connect({from.ip, invited_.port}, kConnectMs);
    if (tcp_ == hal::kNoHandle) return give_up(kErrorConnect, "Connect Failed", "the sender does not answer on its port", nullptr);
    md5_.reset();
    received_ = last_count_ = told_percent_ = 0;
    repeats_ = 0;
    since_us_ = hal::clock_us();
    state_ = State::receiving;
}

void OtaReceiver::receive() {
    while (state_ == State::receiving) {
        const uint64_t now_us = hal::clock_us();  // connecting and flash writes take their time
        const uint32_t missing = invited_.size - received_;
        const int n = hal::net_recv(tcp_, read_, missing < kReadBytes ? missing : kReadBytes);
        if (n < 0) return give_up(kErrorReceive, "Receive Failed", "the sender closed the connection", nullptr);
        if (n == 0) return stalled(now_us);
        since_us_ = now_us;
        repeats_ = 0;
        if (!take(read_, static_cast<size_t>(n))) return;
        if (received_ == invited_.size) return finish();
    }
}

bool OtaReceiver::take(const uint8_t* data, size_t n) {
    if (!hal::slot_write(data, n)) {
        give_up(kErrorReceive, "Receive Failed", "the flash did not take the data", "Flash Write Failed\r\n");
        return false;
    }
    md5_.add(data, n);
    received_ += static_cast<uint32_t>(n);
    last_count_ = static_cast<uint32_t>(n);
    acknowledge();
    progress();
    return true;
}

// No separator: that is how the protocol is. A count that finds no room is not waited for; the sender asks for no particular one.
void OtaReceiver::acknowledge() {
    TextBuffer<12> count;
    count.u32(last_count_);
    hal::net_send(tcp_, reinterpret_cast<const uint8_t*>(count.c_str()), count.size());
}

void OtaReceiver::stalled(uint64_t now_us) {
    if (now_us - since_us_ < kStallUs) return;
    if (repeats_ == kRepeats) return give_up(kErrorReceive, "Receive Failed", "no more data came", nullptr);
    ++repeats_;
    since_us_ = now_us;
    if (last_count_ > 0) acknowledge();
}

void OtaReceiver::progress() {
    const uint32_t percent = static_cast<uint32_t>(uint64_t{received_} * 100 / invited_.size);
    if (percent / 10 == told_percent_ / 10) return;
    told_percent_ = percent;
    LogLine(Severity::debug, '0').s("Progress: ").u(percent).s("%");
}

void OtaReceiver::finish() {
    char digest[33];
    md5_.finish_hex(digest);
    if (!text_equal(digest, invited_.md5)) return give_up(kErrorEnd, "End Failed", "MD5 differs", "MD5 Check Failed\r\n");
    if (!hal::slot_finish())
        return give_up(kErrorEnd, "End Failed", "the image is not valid for this chip", "Could Not Activate The Firmware\r\n");
    say("OK");
    hal::net_close(tcp_);
    tcp_ = hal::kNoHandle;
    state_ = State::idle;
    LogLine(Severity::info, '0').s("OTA Update complete!");
    telemetry().flush(kRestartAfterMs);
    hal::sleep_ms(kRestartAfterMs);
    hal::restart();
}

// The last words to the sender matter: waits a little for room.
void OtaReceiver::say(const char* text) {
    const uint8_t* data = reinterpret_cast<const uint8_t*>(text);
    size_t n = text_length(text);
    const uint64_t deadline_us = hal::clock_us() + kSayWaitMs * 1000u;
    while (n > 0) {
        const int sent = hal::net_send(tcp_, data, n);
        if (sent < 0 || (sent == 0 && hal::clock_us() >= deadline_us)) return;
        if (sent == 0) hal::sleep_ms(10);
        data += sent;
        n -= static_cast<size_t>(sent);
    }
}

// `words` go to the sender when there is a connection; K1's error line and the reason go to the log.
void OtaReceiver::give_up(unsigned code, const char* kind, const char* why, const char* words) {
    if (tcp_ != hal::kNoHandle) {
        if (words != nullptr) say(words);
        hal::net_close(tcp_);
        tcp_ = hal::kNoHandle;
    }
    hal::slot_abort();
    state_ = State::idle;
    LogLine(Severity::error, '0').s("OTA Error[").u(code).s("]: ").s(kind).s(" (").s(why).s(")");
}

}  // namespace k1
