// The HTTP API: handlers by topic, and what they share. docs/http-api.md lists every route with its fields.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/frame.h"
#include "core/http_parser.h"
#include "core/http_response.h"
#include "core/json_reader.h"

namespace k1 {
namespace api {

// api_device.cpp
void test_connection(const HttpRequest&, HttpResponse&);
void health(const HttpRequest&, HttpResponse&);
void device_info(const HttpRequest&, HttpResponse&);
void device_performance(const HttpRequest&, HttpResponse&);
void frame_metrics(const HttpRequest&, HttpResponse&);
void metrics_text(const HttpRequest&, HttpResponse&);
// api_patterns.cpp
void patterns(const HttpRequest&, HttpResponse&);
void pattern_current(const HttpRequest&, HttpResponse&);
void select(const HttpRequest&, HttpResponse&);
// api_params.cpp
void params_get(const HttpRequest&, HttpResponse&);
void params_post(const HttpRequest&, HttpResponse&);
void params_bounds(const HttpRequest&, HttpResponse&);
void params_reset(const HttpRequest&, HttpResponse&);
// api_audio.cpp
void audio_config_get(const HttpRequest&, HttpResponse&);
void audio_config_post(const HttpRequest&, HttpResponse&);
void noise_calibrate(const HttpRequest&, HttpResponse&);
void audio_tempo(const HttpRequest&, HttpResponse&);
void audio_snapshot(const HttpRequest&, HttpResponse&);
void audio_arrays(const HttpRequest&, HttpResponse&);
// api_leds.cpp
void leds_frame(const HttpRequest&, HttpResponse&);
void led_tx_info(const HttpRequest&, HttpResponse&);
void led_tx_recent(const HttpRequest&, HttpResponse&);
// api_latency.cpp
void latency_probe(const HttpRequest&, HttpResponse&);
void latency_align(const HttpRequest&, HttpResponse&);

// Shared helpers (api_common.cpp) ----------------------------------------------------------------------------------------------------

// Parses the body as one JSON object; otherwise answers 400 and gives false. An empty body is an error unless `empty_ok`.
bool body_object(const HttpRequest& request, HttpResponse& response, JsonObject* out, bool empty_ok = false);
void invalid_value(HttpResponse& response, const char* field, const char* expected);

// A whole number from the query. False: 400 invalid_param has been answered. Absent leaves *value alone.
bool query_number(const HttpRequest& request, HttpResponse& response, const char* key, uint32_t least, uint32_t most, uint32_t* value,
                  bool* present = nullptr);
// 0/1/true/false, in the same way.
bool query_flag(const HttpRequest& request, HttpResponse& response, const char* key, bool* value);

// The frames in the log, oldest first. One shared copy, valid until the next call: only the network task comes here, and 4 KB would
// be too much for its stack.
const FrameRecord* recent_frames(size_t* n);
// The contract's 32-bit stamps of the newest transmissions, oldest first, kTxStamps at most. Shared in the same way.
constexpr uint32_t kTxStamps = 256;
const uint32_t* recent_transmissions(size_t* n);
// a - b for 32-bit stamps: right across the wrap as long as they are less than 35 minutes apart.
inline int32_t stamp_distance_us(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b); }

// Mean times of the frames in the log.
struct FrameMeans {
    float render_us, quantize_us, transmit_us, total_us;
    float compute_percent;     // share of the frame period spent rendering and quantising
};
FrameMeans frame_means(const FrameRecord* frames, size_t n);
FrameMeans recent_means();

// Frames per second: the log's figure; from the frames themselves in the first second after boot; 0 when none came for a second.
float frame_rate();

uint32_t memory_free_kb();
uint32_t memory_total_kb();

}  // namespace api
}  // namespace k1
