#include "core/router.h"

#include "core/api_key.h"
#include "core/rate_limit.h"
#include "core/text.h"

namespace k1 {
namespace {

RateLimit limits[kMostRoutes];   // by route; the net task alone asks

void not_found(HttpResponse& response) {
    response.set_status(404);
    response.json().object().str("error", "Not found").end_object();
}

}  // namespace

int route_find(Method method, const char* path) {
    for (size_t i = 0; i < kRouteCount; ++i)
        if (kRoutes[i].method == method && text_equal(kRoutes[i].path, path)) return static_cast<int>(i);
    return -1;
}

void route_request(const HttpRequest& request, uint64_t now_us, HttpResponse& response) {
    response.clear();
    if (request.method == Method::options) return response.set_status(204);
    if (!api_key_allows(request.api_key)) return response.error(401, "unauthorized", "X-API-Key is missing or wrong");
    const int index = route_find(request.method, request.path);
    if (index < 0) return not_found(response);
    const Route& route = kRoutes[index];
    const uint32_t wait_ms = limits[static_cast<size_t>(index) ].ask(now_us, route.window_ms);
    if (wait_ms > 0) {
        response.error(429, "rate_limited", "too many requests for this route");
        response.set_rate_limit(route.window_ms, wait_ms);
        return;
    }
    route.handler(request, response);
    // The handler's text did not fit or memory ran out: say so instead of sending half a document.
    if (response.broken()) response.error(503, "out_of_memory", "the response did not fit into memory");
}

void route_parser_error(uint16_t status, HttpResponse& response) {
    response.clear();
    switch (status) {
        case 413:
            response.set_status(413);
            response.json().object().str("error", "payload_too_large").num("max_size", HttpParser::kLargestBody).end_object();
            return;
        case 408: return response.error(408, "request_timeout", "the request did not come to its end in time");
        case 414: return response.error(414, "uri_too_long", nullptr);
        case 417: return response.error(417, "expectation_failed", nullptr);
        case 431: return response.error(431, "header_too_large", nullptr);
        case 501: return response.error(501, "not_implemented", "bodies need a Content-Length");
        case 505: return response.error(505, "version_not_supported", nullptr);
        default: return response.error(status, "bad_request", nullptr);
    }
}

}  // namespace k1
