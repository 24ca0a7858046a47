// What the strips were given, and when.
#include "core/api.h"
#include "core/pattern.h"
#include "core/text.h"

namespace k1 {
namespace api {
namespace {

struct Filter {
    uint32_t limit = 16, since = 0, until = 0, around = 0, max_delta = 0;
    bool has_since = false, has_until = false, has_around = false, has_delta = false, newest_first = true;

    bool accepts(uint32_t t) const {
        if (has_since && stamp_distance_us(t, since) < 0) return false;
        if (has_until && stamp_distance_us(t, until) > 0) return false;
        if (!has_around || !has_delta) return true;
        const int32_t d = stamp_distance_us(t, around);
        return static_cast<uint32_t>(d < 0 ? -int64_t{d} : int64_t{d}) <= max_delta;
    }
};

bool read_order(const HttpRequest& request, HttpResponse& response, Filter* f) {
    char text[8];
    const QueryValue found = query_value(request.query, "order", text, sizeof text);
    if (found == QueryValue::absent) return true;
    const bool asc = found == QueryValue::ok && text_equal(text, "asc"), desc = found == QueryValue::ok && text_equal(text, "desc");
    if (!asc && !desc) return response.error(400, "invalid_param", "order: expected asc or desc"), false;
    f->newest_first = desc;
    return true;
}

bool read_filter(const HttpRequest& request, HttpResponse& response, Filter* f) {
    return query_number(request, response, "limit", 1, kTxStamps, &f->limit) &&
           query_number(request, response, "since_us", 0, UINT32_MAX, &f->since, &f->has_since) &&
           query_number(request, response, "until_us", 0, UINT32_MAX, &f->until, &f->has_until) &&
           query_number(request, response, "around_us", 0, UINT32_MAX, &f->around, &f->has_around) &&
           query_number(request, response, "max_delta_us", 0, INT32_MAX, &f->max_delta, &f->has_delta) && read_order(request, response, f);
}

void write_filter(JsonWriter& j, const Filter& f) {
    if (f.has_since) j.num("since_us", f.since);
    if (f.has_until) j.num("until_us", f.until);
    if (f.has_around) j.num("around_us", f.around);
    if (f.has_delta) j.num("max_delta_us", f.max_delta);
    j.str("order", f.newest_first ? "desc" : "asc");
}

}  // namespace

// The bytes handed to strip A, after the whole pipeline, untorn.
void leds_frame(const HttpRequest& request, HttpResponse& response) {
    static uint8_t rgb[kLeds * 3];
    uint32_t limit = kLeds, seq = 0;
    char format[8] = "hex";
    if (!query_number(request, response, "n", 1, kLeds, &limit)) return;
    const QueryValue found = query_value(request.query, "fmt", format, sizeof format);
    const bool as_rgb = found == QueryValue::ok && text_equal(format, "rgb");
    if (found != QueryValue::absent && !as_rgb && !(found == QueryValue::ok && text_equal(format, "hex")))
        return response.error(400, "invalid_param", "fmt: expected hex or rgb");
    frame_loop().last_frame(rgb, sizeof rgb, &seq);
    JsonWriter j = response.json();
    j.object().num("count", kLeds).num("limit", limit).str("format", as_rgb ? "rgb" : "hex").num("seq", seq).array("data");
    for (uint32_t i = 0; i < limit; ++i) {
        const uint8_t* led = rgb + 3 * i;
        if (as_rgb) {
            j.array().num(led[0]).num(led[1]).num(led[2]).end_array();
        } else {
            TextBuffer<8> hex;
            hex.hex16_upper(static_cast<uint16_t>(led[0] << 8 | led[1]));
            const char blue[3] = {"0123456789ABCDEF"[led[2] >> 4], "0123456789ABCDEF"[led[2] & 15], '\0'};
            j.str_element(hex.put(blue).c_str());
        }
    }
    j.end_array().end_object();
}

void led_tx_info(const HttpRequest&, HttpResponse& response) {
    size_t n = 0;
    recent_transmissions(&n);
    response.json().object().num("count", n).num("capacity", kTxStamps).end_object();
}

// The newest `limit` stamps that pass the filters, in the order asked for.
void led_tx_recent(const HttpRequest& request, HttpResponse& response) {
    Filter f;
    if (!read_filter(request, response, &f)) return;
    size_t known = 0;
    const uint32_t* const stamps = recent_transmissions(&known);
    static uint32_t chosen[kTxStamps];  // newest first
    size_t n = 0;
    for (size_t i = known; i-- > 0 && n < f.limit;)
        if (f.accepts(stamps[i])) chosen[n++] = stamps[i];
    JsonWriter j = response.json();
    j.object().num("count", n).num("capacity", kTxStamps).num("limit", f.limit);
    write_filter(j, f);
    j.array("events");
    for (size_t i = 0; i < n; ++i) {
        const uint32_t t = chosen[f.newest_first ? i : n - 1 - i];
        j.object().num("timestamp_us", t).end_object();
    }
    j.end_array().end_object();
}

}  // namespace api
}  // namespace k1
