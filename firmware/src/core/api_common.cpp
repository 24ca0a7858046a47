#include "core/api.h"

#include "core/stamp.h"
#include "core/text.h"
#include "hal/clock.h"
#include "hal/system.h"

namespace k1 {
namespace api {

bool body_object(const HttpRequest& request, HttpResponse& response, JsonObject* out, bool empty_ok) {
    if (request.content_length == 0 && empty_ok) return out->parse("{}", 2);
    if (request.content_length == 0) {
        response.error(400, "invalid_json", "the body is empty; send a JSON object");
    } else if (!request.body_complete()) {
        response.error(400, "invalid_json", "the document is longer than 2048 bytes");
    } else if (!out->parse(request.body, request.body_n)) {
        response.error(400, "invalid_json", "the body is not one valid JSON object");
    } else {
        return true;
    }
    return false;
}

void invalid_value(HttpResponse& response, const char* field, const char* expected) {
    TextBuffer<96> message;
    message.put(field).put(": expected ").put(expected);
    response.error(400, "invalid_value", message.c_str());
}

bool query_number(const HttpRequest& request, HttpResponse& response, const char* key, uint32_t least, uint32_t most, uint32_t* value,
                  bool* present) {
    char text[16];
    const QueryValue found = query_value(request.query, key, text, sizeof text);
    if (present != nullptr) *present = found == QueryValue::ok;
    if (found == QueryValue::absent) return true;
    uint32_t v = 0;
    if (found == QueryValue::ok && parse_u32(text, text_length(text), &v) && v >= least && v <= most) {
        *value = v;
        return true;
    }
    TextBuffer<96> message;
    message.put(key).put(": expected a whole number from ").u32(least).put(" to ").u32(most);
    response.error(400, "invalid_param", message.c_str());
    return false;
}

bool query_flag(const HttpRequest& request, HttpResponse& response, const char* key, bool* value) {
    char text[8];
    const QueryValue found = query_value(request.query, key, text, sizeof text);
    if (found == QueryValue::absent) return true;
    const bool yes = found == QueryValue::ok && (text_equal(text, "1") || text_equal(text, "true"));
    const bool no = found == QueryValue::ok && (text_equal(text, "0") || text_equal(text, "false"));
    if (yes || no) {
        *value = yes;
        return true;
    }
    TextBuffer<64> message;
    message.put(key).put(": expected 0, 1, true or false");
    response.error(400, "invalid_param", message.c_str());
    return false;
}

FrameMeans frame_means(const FrameRecord* frames, size_t n) {
    FrameMeans m = {};
    if (n == 0) return m;
    uint64_t render = 0, quantize = 0, transmit = 0;
    for (size_t i = 0; i < n; ++i) {
        render += frames[i].render_us;
        quantize += frames[i].quantize_us;
        transmit += frames[i].transmit_us;
    }
    const float count = static_cast<float>(n);
    m.render_us = static_cast<float>(render) / count;
    m.quantize_us = static_cast<float>(quantize) / count;
    m.transmit_us = static_cast<float>(transmit) / count;
    m.total_us = m.render_us + m.quantize_us + m.transmit_us;
    if (n >= 2 && frames[n - 1].t_us > frames[0].t_us) {
        const float period_us = static_cast<float>(frames[n - 1].t_us - frames[0].t_us) / static_cast<float>(n - 1);
        m.compute_percent = 100.0f * (m.render_us + m.quantize_us) / period_us;
    }
    return m;
}

FrameMeans recent_means() {
    size_t n = 0;
    const FrameRecord* const frames = recent_frames(&n);
    return frame_means(frames, n);
}

const FrameRecord* recent_frames(size_t* n) {
    static FrameRecord frames[FrameLog::kDepth];
    *n = frame_log().copy(frames, FrameLog::kDepth);
    return frames;
}

const uint32_t* recent_transmissions(size_t* n) {
    static uint64_t times[kTxStamps];
    static uint32_t stamps[kTxStamps];
    *n = frame_log().sent_times(times, kTxStamps);
    for (size_t i = 0; i < *n; ++i) stamps[i] = stamp32_us(times[i]);
    return stamps;
}

float frame_rate() {
    constexpr uint64_t kStandstillUs = 1000000;
    size_t n = 0;
    const FrameRecord* const frames = recent_frames(&n);
    if (n < 2 || hal::clock_us() - frames[n - 1].t_us > kStandstillUs) return 0.0f;
    const float logged = frame_log().fps();
    if (logged > 0.0f || frames[n - 1].t_us == frames[0].t_us) return logged;
    return 1e6f * static_cast<float>(n - 1) / static_cast<float>(frames[n - 1].t_us - frames[0].t_us);
}

uint32_t memory_free_kb() { return static_cast<uint32_t>(hal::heap_free() / 1024); }
uint32_t memory_total_kb() { return static_cast<uint32_t>(hal::heap_total() / 1024); }

}  // namespace api
}  // namespace k1
