// How old sound is when it becomes light, as far as the device itself can tell.
#include "core/api.h"
#include "core/audio.h"
#include "core/stamp.h"
#include "core/text.h"

namespace k1 {
namespace api {
namespace {

enum class Strategy : uint8_t { nearest, older, newer };

bool read_strategy(const HttpRequest& request, HttpResponse& response, Strategy* out, const char** word) {
    char text[12];
    const QueryValue found = query_value(request.query, "strategy", text, sizeof text);
    if (found == QueryValue::absent) return true;
    if (found == QueryValue::ok && text_equal(text, "nearest")) {
        *out = Strategy::nearest;
        *word = "nearest";
    } else if (found == QueryValue::ok && (text_equal(text, "older") || text_equal(text, "before"))) {
        *out = Strategy::older;
        *word = "older";
    } else if (found == QueryValue::ok && (text_equal(text, "newer") || text_equal(text, "after"))) {
        *out = Strategy::newer;
        *word = "newer";
    } else {
        return response.error(400, "invalid_param", "strategy: expected nearest, older or newer"), false;
    }
    return true;
}

}  // namespace

// The age of the newest sample a frame has seen when its transmission starts. The contract's label stays.
void latency_probe(const HttpRequest&, HttpResponse& response) {
    size_t n = 0;
    const FrameRecord* const frames = recent_frames(&n);
    const AudioSnapshot s = audio().snapshot();
    double latency_ms = 0.0;
    if (n > 0 && frames[n - 1].audio_us != 0 && frames[n - 1].t_us >= frames[n - 1].audio_us)
        latency_ms = static_cast<double>(frames[n - 1].t_us - frames[n - 1].audio_us) / 1000.0;
    JsonWriter j = response.json();
    j.object().flag("active", s.valid).real("last_latency_ms", latency_ms, 3);
    j.num("timestamp_us", s.updates > 0 ? stamp32_us(s.t_us) : 0);
    j.num("last_led_tx_us", frame_log().sent() > 0 ? stamp32_us(frame_log().last_sent_us()) : 0);
    j.str("label", "audio_step").end_object();
}

// The transmission that lies nearest to a stamp; distances are taken around the 32-bit wrap.
void latency_align(const HttpRequest& request, HttpResponse& response) {
    uint32_t t = 0, max_delta = 0;
    bool has_t = false, has_delta = false, found = false;
    Strategy strategy = Strategy::nearest;
    const char* word = "nearest";
    if (!query_number(request, response, "t_us", 0, UINT32_MAX, &t, &has_t)) return;
    if (!has_t) return response.error(400, "invalid_param", "t_us is needed");
    if (!query_number(request, response, "max_delta_us", 0, INT32_MAX, &max_delta, &has_delta)) return;
    if (!read_strategy(request, response, &strategy, &word)) return;
    size_t n = 0;
    const uint32_t* const stamps = recent_transmissions(&n);
    int64_t best = 0;
    uint32_t best_stamp = 0;
    for (size_t i = 0; i < n; ++i) {
        const int64_t d = stamp_distance_us(stamps[i], t);
        const int64_t size = d < 0 ? -d : d, best_size = best < 0 ? -best : best;
        if ((strategy == Strategy::older && d > 0) || (strategy == Strategy::newer && d < 0)) continue;
        if ((has_delta && size > max_delta) || (found && size >= best_size)) continue;
        found = true;
        best = d;
        best_stamp = stamps[i];
    }
    JsonWriter j = response.json();
    j.object().num("count", n).num("capacity", kTxStamps).num("t_us", t);
    if (has_delta) j.num("max_delta_us", max_delta);
    j.str("strategy", word).flag("found", found).num("nearest_timestamp_us", best_stamp).inum("delta_us", best).end_object();
}

}  // namespace api
}  // namespace k1
