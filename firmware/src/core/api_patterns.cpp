// Which patterns there are, and which one runs.
#include "core/api.h"
#include "core/pattern.h"

namespace k1 {
namespace api {
namespace {

void not_found(HttpResponse& response) { response.error(404, "pattern_not_found", "no pattern has this index or id"); }

// The wanted pattern from the body; -1 when an error has been answered.
int wanted(const JsonObject& body, HttpResponse& response) {
    const JsonValue index = body.find("index"), id = body.find("id");
    if (index.present()) {
        int64_t v = 0;
        if (!index.as_integer(&v) || v < 0 || v > 255) return invalid_value(response, "index", "a whole number from 0 to 255"), -1;
        if (static_cast<size_t>(v) >= kPatternCount) return not_found(response), -1;
        return static_cast<int>(v);
    }
    if (!id.present()) return response.error(400, "missing_field", "index or id is needed"), -1;
    char name[40];
    if (id.kind != JsonValue::Kind::string) return invalid_value(response, "id", "a string"), -1;
    const int found = id.as_string(name, sizeof name) ? pattern_find(name) : -1;
    if (found < 0) not_found(response);
    return found;
}

}  // namespace

void patterns(const HttpRequest&, HttpResponse& response) {
    JsonWriter j = response.json();
    j.object().array("patterns");
    for (size_t i = 0; i < kPatternCount; ++i) {
        const Pattern& p = kPatterns[i];
        j.object().num("index", i).str("name", p.name).str("id", p.id).str("description", p.description);
        j.flag("audio_reactive", p.audio_reactive).flag("raw", p.raw).end_object();
    }
    j.end_array().num("current_pattern", frame_loop().selected()).end_object();
}

void pattern_current(const HttpRequest&, HttpResponse& response) {
    const uint8_t now = frame_loop().selected();
    const Pattern& p = kPatterns[now];
    JsonWriter j = response.json();
    j.object().num("index", now).str("id", p.id).str("name", p.name).flag("is_audio_reactive", p.audio_reactive).end_object();
}

// `transition` is accepted for the contract's sake: this firmware switches at the next frame either way.
void select(const HttpRequest& request, HttpResponse& response) {
    JsonObject body;
    if (!body_object(request, response, &body)) return;
    bool ignored = false;
    const JsonValue transition = body.find("transition");
    if (transition.present() && !transition.as_bool(&ignored)) return invalid_value(response, "transition", "true or false");
    const int index = wanted(body, response);
    if (index < 0) return;
    if (!frame_loop().select(static_cast<uint8_t>(index))) return not_found(response);
    const Pattern& p = kPatterns[index];
    JsonWriter j = response.json();
    j.object().num("current_pattern", static_cast<uint64_t>(index)).str("id", p.id).str("name", p.name).end_object();
}

}  // namespace api
}  // namespace k1
