// Log lines in K1's form: [HH:MM:SS.mmm] SEV [T] message. They share the console with the sentences and never wait.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/text.h"

namespace k1 {

enum class Severity : uint8_t { error, warn, info, debug };

// Built piece by piece, sent when it goes out of scope:
//     LogLine(Severity::info, '0').s("Loaded ").u(n).s(" patterns");
class LogLine {
  public:
    // `tag`: K1's one-letter tags (0 and 1 cores, A audio, I I2S, L LED, T tempo, W Wi-Fi, E web, X heartbeat, P profile).
    LogLine(Severity severity, char tag);
    ~LogLine();
    LogLine(const LogLine&) = delete;
    LogLine& operator=(const LogLine&) = delete;

    LogLine& s(const char* text) { return text_.put(text), *this; }
    LogLine& u(uint64_t v) { return text_.u64(v), *this; }
    LogLine& r(double v, unsigned decimals) { return text_.real(v, decimals), *this; }
    LogLine& ip(uint32_t address) { return text_.ip(address), *this; }

  private:
    TextBuffer<200> text_;
};

// The "[HH:MM:SS.mmm] " part for a time in ms since boot; hours count to 23 and start again.
void log_time(Text& out, uint64_t ms);

}  // namespace k1
