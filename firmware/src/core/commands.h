// Commands of the serial console (docs/telemetry.md): one line in, exactly one sentence out.
#pragma once
#include <cstddef>
#include <cstdint>

namespace k1 {

enum class AfterReply : uint8_t { nothing, restart };

struct Reply {
    char text[320];
    size_t n = 0;  // 0: a blank line, which gets no answer
    AfterReply after = AfterReply::nothing;
};

// Carries out one line (no line end in it) and forms its answer.
void command_line(const char* line, size_t n, Reply* reply);
// The answer to a line that was longer than allowed.
void command_too_long(Reply* reply);

}  // namespace k1
