#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "core/params.h"

using namespace k1;

TEST_CASE("params: the table is the contract's and agrees with the defaults of Params") {
    const Params fresh;
    for (const ParamSpec& s : kParamSpecs) {
        CAPTURE(s.name);
        CHECK(fresh.*s.field == s.def);
        CHECK(s.min <= s.def);
        CHECK(s.def <= s.max);
        CHECK(param_find(s.name) == &s);
    }
    CHECK(param_find("no_such") == nullptr);
    CHECK(param_find("") == nullptr);
    const ParamSpec* period = param_find("frame_min_period_ms");
    CHECK(period->min == 4.0f);
    CHECK(period->max == 20.0f);
    CHECK(period->def == 6.0f);
    CHECK(param_find("palette_id")->max == 32.0f);
    CHECK(param_find("mirror_mode")->kind == ParamKind::flag);
}

TEST_CASE("params: cleaning") {
    const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
    for (const ParamSpec& s : kParamSpecs) {
        CAPTURE(s.name);
        CHECK(param_clean(s, nan) == s.def);
        const bool whole = s.kind == ParamKind::integer;
        CHECK(param_clean(s, inf) == (whole ? s.def : s.max));
        CHECK(param_clean(s, -inf) == (whole ? s.def : s.min));
        CHECK(param_clean(s, s.max + 1.0f) == (whole ? s.def : s.max));
        CHECK(param_clean(s, s.min - 1.0f) == (whole ? s.def : s.min));
        CHECK(param_clean(s, s.min) == s.min);
        CHECK(param_clean(s, s.max) == s.max);
    }
    CHECK(param_clean(*param_find("brightness"), 0.4f) == 0.4f);
    CHECK(param_clean(*param_find("palette_id"), 6.6f) == 7.0f);
    CHECK(param_clean(*param_find("mirror_mode"), 0.7f) == 1.0f);
    CHECK(param_clean(*param_find("mirror_mode"), 0.3f) == 0.0f);
}

TEST_CASE("params: the store keeps what was set, cleaned, and resets") {
    ParamStore store;
    CHECK(store.read().brightness == 1.0f);
    CHECK(store.set(*param_find("brightness"), 0.25f) == 0.25f);
    CHECK(store.set(*param_find("led_offset"), 999.0f) == 160.0f);
    CHECK(store.read().brightness == 0.25f);
    CHECK(store.read().led_offset == 160.0f);
    Params p;
    p.speed = std::numeric_limits<float>::quiet_NaN();
    p.warmth = 7.0f;
    p.color = 0.9f;
    store.write(p);
    CHECK(store.read().speed == 0.5f);
    CHECK(store.read().warmth == 1.0f);
    CHECK(store.read().color == 0.9f);
    CHECK(store.read().brightness == 1.0f);
    store.set(*param_find("color"), 0.1f);
    store.reset();
    const Params now = store.read(), fresh;
    for (const ParamSpec& s : kParamSpecs) CHECK(now.*s.field == fresh.*s.field);
}
