// What this image offers, as JSON on standard output: read by the build, so that tests can be collected without a device.
#include <cstdio>

#include "core/build_info.h"
#include "core/params.h"
#include "core/pattern.h"
#include "host/manifest.h"

namespace {

void print_text(const char* text) {
    std::putchar('"');
    for (const char* c = text; *c != 0; ++c) {
        auto byte = static_cast<unsigned char>(*c);
        if (byte == '"' || byte == '\\') {
            std::printf("\\%c", byte);
        } else if (byte < 0x20) {
            std::printf("\\u%04x", byte);
        } else {
            std::putchar(byte);
        }
    }
    std::putchar('"');
}

void print_field(const char* name, const char* text) {
    std::printf("\"%s\": ", name);
    print_text(text);
}

const char* word(bool value) { return value ? "true" : "false"; }

const char* kind_of(k1::ParamKind kind) {
    switch (kind) {
        case k1::ParamKind::flag: return "flag";
        case k1::ParamKind::integer: return "integer";
        default: return "real";
    }
}

void print_patterns() {
    std::printf("\"patterns\": [");
    for (size_t i = 0; i < k1::kPatternCount; ++i) {
        const k1::Pattern& p = k1::kPatterns[i];
        std::printf("%s\n  {\"index\": %zu, ", i ? "," : "", i);
        print_field("id", p.id);
        std::printf(", ");
        print_field("name", p.name);
        std::printf(", ");
        print_field("description", p.description);
        std::printf(", \"audio_reactive\": %s, \"raw\": %s}", word(p.audio_reactive), word(p.raw));
    }
    std::printf("\n ]");
}

void print_params() {
    std::printf("\"params\": [");
    for (size_t i = 0; i < k1::kParamCount; ++i) {
        const k1::ParamSpec& p = k1::kParamSpecs[i];
        std::printf("%s\n  {\"name\": \"%s\", \"min\": %.7g, \"max\": %.7g, \"default\": %.7g, \"step\": %.7g, \"kind\": \"%s\"}",
                    i ? "," : "", p.name, static_cast<double>(p.min), static_cast<double>(p.max),
                    static_cast<double>(p.def), static_cast<double>(p.step), kind_of(p.kind));
    }
    std::printf("\n ]");
}

}  // namespace

namespace host {

void print_manifest() {
    std::printf("{\"schema\": 1, ");
    print_field("project", k1::kProject);
    std::printf(", ");
    print_field("version", k1::kVersion);
    std::printf(", ");
    print_field("git", k1::kGitCommit);
    std::printf(", ");
    print_field("build_time", k1::kBuildTime);
    std::printf(", \"hil\": %s,\n ", word(k1::kHilBuild));
    print_patterns();
    std::printf(",\n ");
    print_params();
    std::printf("}\n");
}

}  // namespace host
