#include "core/console.h"

#include "core/commands.h"
#include "core/line_reader.h"
#include "core/telemetry.h"
#include "hal/console.h"
#include "hal/system.h"
#include "hal/task.h"

namespace k1 {
namespace {

constexpr unsigned kReplyWaitMs = 500;   // for a place in the queue; a host that reads needs far less
constexpr unsigned kLastWordsMs = 100;   // the answer to `reboot` leaves the chip before the chip goes

LineReader reader;

void answer(const Reply& reply) {
    if (reply.n > 0) telemetry().line_waiting(reply.text, reply.n, kReplyWaitMs);
    if (reply.after == AfterReply::restart) {
        telemetry().flush(kLastWordsMs);
        hal::sleep_ms(kLastWordsMs);
        hal::restart();
    }
}

}  // namespace

void console_step(unsigned timeout_ms) {
    uint8_t bytes[64];
    size_t n = hal::console_read(bytes, sizeof bytes);
    if (n == 0 && hal::console_wait(timeout_ms)) n = hal::console_read(bytes, sizeof bytes);
    Reply reply;
    for (size_t i = 0; i < n; ++i) {
        switch (reader.take(bytes[i])) {
            case LineReader::Event::none: continue;
            case LineReader::Event::line: command_line(reader.text(), reader.size(), &reply); break;
            case LineReader::Event::too_long: command_too_long(&reply); break;
        }
        answer(reply);
    }
}

void console_run(void*) {
    for (;;) console_step(10000);
}

}  // namespace k1
