#include "core/log.h"

#include "core/stamp.h"
#include "core/telemetry.h"

namespace k1 {
namespace {

const char* word(Severity s) {
    switch (s) {
        case Severity::error: return "ERROR";
        case Severity::warn: return "WARN ";
        case Severity::info: return "INFO ";
        default: return "DEBUG";
    }
}

}  // namespace

void log_time(Text& out, uint64_t ms) {
    const uint32_t in_day = static_cast<uint32_t>(ms % 86400000u);
    out.put('[').padded(in_day / 3600000u, 2).put(':').padded(in_day / 60000u % 60u, 2).put(':');
    out.padded(in_day / 1000u % 60u, 2).put('.').padded(in_day % 1000u, 3).put("] ", 2);
}

LogLine::LogLine(Severity severity, char tag) {
    log_time(text_, stamp_now_us() / 1000);
    text_.put(word(severity)).put(" [", 2).put(tag).put("] ", 2);
}

LogLine::~LogLine() {
    // A message cut short still ends its line: room for the two characters is kept by writing them into a copy.
    TextBuffer<204> line;
    line.put(text_.c_str(), text_.size()).put("\r\n", 2);
    telemetry().line(line.c_str(), line.size());
}

}  // namespace k1
