// Routes: exact path and method to handler. No prefixes, no wildcards: `/api/params` never answers for `/api/params/bounds`.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/http_parser.h"
#include "core/http_response.h"

namespace k1 {

using Handler = void (*)(const HttpRequest& request, HttpResponse& response);

struct Route {
    Method method;
    const char* path;
    uint32_t window_ms;   // rate limit, 0 = none
    Handler handler;
};

constexpr size_t kMostRoutes = 48;
extern const Route kRoutes[];     // api.cpp
extern const size_t kRouteCount;

// Index into kRoutes, -1 when there is none.
int route_find(Method method, const char* path);

// Answers a whole request: OPTIONS, 404, 429, memory trouble and all.
void route_request(const HttpRequest& request, uint64_t now_us, HttpResponse& response);
// Answers a request the parser gave up on with `status`.
void route_parser_error(uint16_t status, HttpResponse& response);

}  // namespace k1
