// Metronome: two dots leave the centre on the beat, reach the ends half a beat later and return for the next; the centre
// flashes as they strike. How far they swing follows the confidence in the tempo. While music has no clear beat the
// dots hang near the centre and pulse with the loudness; in silence they rest there and all is the glow alone.
// `speed` sets how long the flash of a strike lasts (0.4-0.05 s).
#include "core/patterns/common.h"

namespace k1 {

namespace {
float swing, flash;
uint32_t beats_seen;
bool counting;
}  // namespace

void start_metronome() {
    swing = flash = 0.0f;
    counting = false;
}

void render_metronome(FrameContext& f) {
    const float sure = math::clamp01(2.0f * f.audio.tempo_confidence);
    swing = math::settle(swing + (sure - swing) * math::ease(f.dt_s, 0.3f));
    flash = math::settle(flash * decay(f.dt_s, math::lerp(0.4f, 0.05f, f.p.speed)));
    if (counting && f.audio.beats != beats_seen) flash = 1.0f;
    beats_seen = f.audio.beats;
    counting = true;

    const float loud = loudness(f.audio);
    const float place = (kHalf - 1) * swing * math::sin_turns(0.5f * f.audio.beat_phase);
    const float body = math::max(loud, 0.8f * swing);
    const float width = 3.0f + 4.0f * loud;
    const Tint tint(f.p);
    const float glow = idle_drive(f.p), shift = 0.3f * f.p.color_reactivity * swing;
    for (size_t h = 0; h < kHalf; ++h) {
        const float away = (static_cast<float>(h) - place) / width;
        const float dot = body * math::sq(math::max(1.0f - away * away, 0.0f));
        const float strike = flash * math::max(1.0f - static_cast<float>(h) * (1.0f / 12.0f), 0.0f);
        const Rgb colour = tint.at(static_cast<float>(h) * kPlaceStep, shift);
        put(f.leds, h, scaled(colour, over_floor(glow, math::min(dot + strike, 1.0f))));
    }
}

}  // namespace k1
