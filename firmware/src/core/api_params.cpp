// Run-time parameters.
#include "core/api.h"
#include "core/params.h"

namespace k1 {
namespace api {
namespace {

void write_params(HttpResponse& response) {
    const Params now = params().read();
    JsonWriter j = response.json();
    j.object();
    for (const ParamSpec& spec : kParamSpecs) {
        const float v = now.*(spec.field);
        if (spec.kind == ParamKind::flag) j.flag(spec.name, v >= 0.5f);
        else j.real(spec.name, static_cast<double>(v));
    }
    j.end_object();
}

// A field of the body as a clean value. False: 400 has been answered.
bool take_value(const JsonValue& value, const ParamSpec& spec, HttpResponse& response, float* out) {
    bool on = false;
    float number = 0.0f;
    if (spec.kind == ParamKind::flag && value.as_bool(&on)) {
        *out = on ? 1.0f : 0.0f;
        return true;
    }
    if (!value.as_real(&number)) {
        invalid_value(response, spec.name, spec.kind == ParamKind::flag ? "true, false or a number" : "a finite number");
        return false;
    }
    *out = param_clean(spec, number);
    return true;
}

const char* kind_word(ParamKind kind) {
    switch (kind) {
        case ParamKind::flag: return "flag";
        case ParamKind::integer: return "integer";
        default: return "real";
    }
}

}  // namespace

void params_get(const HttpRequest&, HttpResponse& response) { write_params(response); }

// All fields are judged before any is taken: a refused request changes nothing.
void params_post(const HttpRequest& request, HttpResponse& response) {
    JsonObject body;
    if (!body_object(request, response, &body)) return;
    bool given[kParamCount] = {};
    float values[kParamCount] = {};
    for (size_t i = 0; i < kParamCount; ++i) {
        const JsonValue value = body.find(kParamSpecs[i].name);
        given[i] = value.present();
        if (given[i] && !take_value(value, kParamSpecs[i], response, &values[i])) return;
    }
    for (size_t i = 0; i < kParamCount; ++i)
        if (given[i]) params().set(kParamSpecs[i], values[i]);
    write_params(response);
}

void params_bounds(const HttpRequest&, HttpResponse& response) {
    JsonWriter j = response.json();
    j.object();
    for (const ParamSpec& spec : kParamSpecs) {
        j.object(spec.name).real("min", static_cast<double>(spec.min)).real("max", static_cast<double>(spec.max));
        j.real("step", static_cast<double>(spec.step)).real("default", static_cast<double>(spec.def)).str("kind", kind_word(spec.kind));
        j.end_object();
    }
    j.end_object();
}

void params_reset(const HttpRequest& request, HttpResponse& response) {
    JsonObject body;
    if (!body_object(request, response, &body, true)) return;
    params().reset();
    write_params(response);
}

}  // namespace api
}  // namespace k1
