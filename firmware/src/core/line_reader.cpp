#include "core/line_reader.h"

namespace k1 {

LineReader::Event LineReader::take(uint8_t byte) {
    if (byte == '\r') return Event::none;
    if (byte == '\n') {
        const bool skipped = skipping_;
        text_[n_] = '\0';
        ended_size_ = n_;
        n_ = 0;
        skipping_ = false;
        return skipped ? Event::too_long : Event::line;
    }
    if (skipping_) return Event::none;
    if (n_ == kMost) {
        skipping_ = true;
        n_ = 0;
        return Event::none;
    }
    text_[n_++] = static_cast<char>(byte);
    return Event::none;
}

}  // namespace k1
