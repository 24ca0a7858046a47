// The list of patterns; its order is the index the API and the telemetry use.
#include <cstring>

#include "core/patterns/common.h"

// Patterns made from specifications (docs/patterns.md) stand in a folder of their own, which the build names.
#ifdef K1_GENERATED
#include "generated_patterns.inc"
#else
#define K1_GENERATED_PATTERNS
#endif

namespace k1 {

const Pattern kPatterns[] = {
    {"departure", "Departure", "Still gradient: dark earth through white to green",
     false, false, nullptr, render_departure},
    {"lava", "Lava", "Still gradient: white heat through orange to black red", false, false, nullptr, render_lava},
    {"twilight", "Twilight", "Still gradient: warm horizon through rose to night blue",
     false, false, nullptr, render_twilight},
    {"spectrum", "Spectrum", "Semitones from the centre outwards, bass in the middle",
     true, false, nullptr, render_spectrum},
    {"octave", "Octave", "Twelve notes of the scale, all octaves folded together", true, false, nullptr, render_octave},
    {"vu", "VU", "Loudness bar from the centre with a falling peak", true, false, start_vu, render_vu},
    {"pulse", "Pulse", "Waves run outwards on every beat and onset", true, false, start_pulse, render_pulse},
    {"bloom", "Bloom", "Colour wells up in the centre with the music and drifts outwards",
     true, false, start_bloom, render_bloom},
    {"perlin", "Perlin", "Flowing noise, faster and brighter with the music", true, false, start_perlin, render_perlin},
    {"metronome", "Metronome", "Dots leave the centre on the beat and return for the next",
     true, false, start_metronome, render_metronome},
    {"breathe", "Breathe", "Slow swell of light, period from speed", false, false, start_breathe, render_breathe},
    {"hil_solid", "HIL solid", "Test: one colour from color, saturation, brightness",
     false, true, nullptr, render_hil_solid},
    {"hil_ramp", "HIL ramp", "Test: raw ramps of red, green, blue, white", false, true, nullptr, render_hil_ramp},
    {"hil_index", "HIL index", "Test: Gray-coded LED index, bit by bit with complements",
     false, true, start_hil_index, render_hil_index},
    {"hil_counter", "HIL counter", "Test: Gray-coded frame number", false, true, nullptr, render_hil_counter},
    {"hil_flash", "HIL flash", "Test: white while the newest audio is loud, else black",
     true, true, nullptr, render_hil_flash},
    K1_GENERATED_PATTERNS
};
const size_t kPatternCount = sizeof kPatterns / sizeof kPatterns[0];

static_assert(sizeof kPatterns / sizeof kPatterns[0] <= 255, "the pattern index is a byte");

int pattern_find(const char* id) {
    for (size_t i = 0; i < kPatternCount; ++i)
        if (std::strcmp(kPatterns[i].id, id) == 0) return static_cast<int>(i);
    return -1;
}

}  // namespace k1
