// The JSON writer's escapes and commas; the reader's strictness.
#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "core/json_reader.h"
#include "core/json_writer.h"
#include "seed.h"

using namespace k1;

namespace {

void append(void* to, const char* data, size_t n) { static_cast<std::string*>(to)->append(data, n); }

bool parses(const std::string& s) {
    JsonObject o;
    return o.parse(s.data(), s.size());
}

}  // namespace

TEST_CASE("json writer: structure and values") {
    std::string out;
    JsonWriter j(append, &out);
    j.object().num("a", 1).inum("b", -2).real("c", 0.25).flag("d", true).flag("e", false).null("f");
    j.array("g").num(1).num(2).object().end_object().array().end_array().end_array().object("h").str("i", "x").end_object();
    j.real("k", std::nan("")).real("l", INFINITY).end_object();
    CHECK(out == R"({"a":1,"b":-2,"c":0.25,"d":true,"e":false,"f":null,"g":[1,2,{},[]],"h":{"i":"x"},"k":null,"l":null})");
}

TEST_CASE("json writer: escapes") {
    std::string out;
    JsonWriter j(append, &out);
    j.object().str("q\"", "a\"b\\c\n\x01\x1F\xC3\xA9/").end_object();
    CHECK(out == "{\"q\\\"\":\"a\\\"b\\\\c\\u000a\\u0001\\u001f\xC3\xA9/\"}");
}

TEST_CASE("json reader: what is a document and what is not") {
    for (const char* good : {"{}", " { } ", "{\"a\":1}", "{\"a\":[1,[2,{\"b\":null}]],\"c\":\"\\u00e9\"}", "{\"a\":1e5 , \"b\" : -0.5}\r\n"})
        CHECK_MESSAGE(parses(good), good);
    for (const char* bad : {"", "[]", "1", "{", "}", "{a:1}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{\"a\":01}", "{\"a\":+1}", "{\"a\":'x'}",
                            "{\"a\":\"\\x\"}", "{\"a\":\"\\u12\"}", "{\"a\":tru}", "{\"a\":1}x", "{\"a\":[1,]}", "{\"a\":\"\n\"}", "{\"a\":1 2}",
                            "{\"a\":1}{\"b\":2}", "{\"a\":[}", "{,}"})
        CHECK_FALSE_MESSAGE(parses(bad), bad);
    CHECK(parses("{\"a\":[[[[[[1]]]]]]}"));
    CHECK_FALSE(parses("{\"a\":[[[[[[[[[[[[1]]]]]]]]]]]]}"));   // deeper than anything here needs
    CHECK_FALSE(parses(std::string("{\"a\":") + std::string(100000, '[')));
}

TEST_CASE("json reader: members and their kinds") {
    const std::string text = R"({"n":2.5,"i":-3,"s":"a\"\\\/\u0041\u00e9\ud83d\ude00\n","t":true,"z":null,"o":{"n":9},"n2":1,"x":NaN,"y":-Infinity,"n2":7})";
    JsonObject o;
    REQUIRE(o.parse(text.data(), text.size()));
    float f = 0;
    int64_t i = 0;
    bool b = false;
    char s[32];
    CHECK((o.find("n").as_real(&f) && f == 2.5f));
    CHECK_FALSE(o.find("n").as_integer(&i));
    CHECK((o.find("i").as_integer(&i) && i == -3));
    REQUIRE(o.find("s").as_string(s, sizeof s));
    CHECK(std::string(s) == "a\"\\/A\xC3\xA9\xF0\x9F\x98\x80\n");
    CHECK((o.find("t").as_bool(&b) && b));
    CHECK(o.find("z").kind == JsonValue::Kind::null);
    CHECK(o.find("o").kind == JsonValue::Kind::object);
    CHECK(o.find("x").kind == JsonValue::Kind::not_finite);
    CHECK_FALSE(o.find("x").as_real(&f));
    CHECK(o.find("y").kind == JsonValue::Kind::not_finite);
    CHECK((o.find("n2").as_integer(&i) && i == 7));   // the last one counts
    CHECK_FALSE(o.find("missing").present());
    CHECK_FALSE(o.find("n").as_string(s, sizeof s));
    CHECK_FALSE(o.find("s").as_string(s, 5));          // does not fit
}

TEST_CASE("json reader: strings that are no text") {
    char s[32];
    for (const char* text : {"{\"a\":\"\\u0000\"}", "{\"a\":\"\\ud800\"}", "{\"a\":\"\\ude00x\"}", "{\"a\":\"\\ud800\\u0041\"}"}) {
        JsonObject o;
        REQUIRE_MESSAGE(o.parse(text, std::string(text).size()), text);
        CHECK_FALSE_MESSAGE(o.find("a").as_string(s, sizeof s), text);
    }
}

TEST_CASE("json reader: garbage never does harm") {
    std::mt19937 rng(test::fresh_seed("json reader: garbage"));
    const std::string alphabet = "{}[]\",:\\u0123456789eE+-. truefalsnNaIity\n\x01\xFF";
    for (int round = 0; round < 20000; ++round) {
        std::string s = "{";
        for (unsigned n = rng() % 40; n > 0; --n) s += alphabet[rng() % alphabet.size()];
        // Exactly sized memory: a read beyond it is seen by the address sanitizer.
        std::vector<char> exact(s.begin(), s.end());
        JsonObject o;
        char out[8];
        if (o.parse(exact.data(), exact.size())) o.find("u").as_string(out, sizeof out);
    }
}
