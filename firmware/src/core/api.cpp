#include "core/api.h"

#include "core/router.h"

namespace k1 {

// Windows are the contract's, in ms.
const Route kRoutes[] = {
    {Method::get, "/api/test-connection", 200, api::test_connection},
    {Method::get, "/api/health", 200, api::health},
    {Method::get, "/api/device/info", 1000, api::device_info},
    {Method::get, "/api/device-info", 1000, api::device_info},
    {Method::get, "/api/device/performance", 500, api::device_performance},
    {Method::get, "/api/device-performance", 500, api::device_performance},
    {Method::get, "/api/frame-metrics", 500, api::frame_metrics},
    {Method::get, "/metrics", 200, api::metrics_text},
    {Method::get, "/api/metrics", 200, api::metrics_text},
    {Method::get, "/api/patterns", 1000, api::patterns},
    {Method::get, "/api/pattern/current", 200, api::pattern_current},
    {Method::post, "/api/select", 200, api::select},
    {Method::get, "/api/params", 150, api::params_get},
    {Method::post, "/api/params", 300, api::params_post},
    {Method::get, "/api/params/bounds", 200, api::params_bounds},
    {Method::post, "/api/reset", 1000, api::params_reset},
    {Method::get, "/api/audio-config", 500, api::audio_config_get},
    {Method::post, "/api/audio-config", 300, api::audio_config_post},
    {Method::post, "/api/audio/noise-calibrate", 1000, api::noise_calibrate},
    {Method::get, "/api/audio/tempo", 200, api::audio_tempo},
    {Method::get, "/api/audio/snapshot", 300, api::audio_snapshot},
    {Method::get, "/api/audio/arrays", 200, api::audio_arrays},
    {Method::get, "/api/leds/frame", 200, api::leds_frame},
    {Method::get, "/api/led-tx/info", 200, api::led_tx_info},
    {Method::get, "/api/led-tx/recent", 300, api::led_tx_recent},
    {Method::get, "/api/latency/probe", 200, api::latency_probe},
    {Method::get, "/api/latency/align", 200, api::latency_align},
};
const size_t kRouteCount = sizeof kRoutes / sizeof kRoutes[0];
static_assert(sizeof kRoutes / sizeof kRoutes[0] <= kMostRoutes, "the rate limits have no place for so many routes");

}  // namespace k1
