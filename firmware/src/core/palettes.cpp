#include "core/palettes.h"

#include "core/math.h"

namespace k1 {

namespace {

constexpr size_t kKeys = 4;

struct Palette {
    const char* name;
    uint32_t keys[kKeys];   // evenly spaced; the last leads back to the first
};

const Palette kPalettes[kPaletteCount] = {
    {"Hue", {0xFF0000, 0x80FF00, 0x00FFFF, 0x8000FF}},
    {"Ember", {0x280000, 0xC81400, 0xFF8C14, 0xFFE6A0}},
    {"Harbour", {0x001428, 0x0050A0, 0x14B4C8, 0xC8FFF0}},
    {"Moss", {0x051E05, 0x1E6414, 0x78B428, 0xE6F08C}},
    {"Orchard", {0x500014, 0xDC2828, 0xFFB432, 0x64C83C}},
    {"Dusk", {0x14003C, 0x78148C, 0xF05078, 0xFFBE78}},
    {"Glacier", {0x0A1E50, 0x3C82DC, 0xA0E6FF, 0xFFFFFF}},
    {"Copper", {0x1E0A05, 0x8C3C14, 0xE68C50, 0xFFDCB4}},
    {"Neon", {0xFF0078, 0x7800FF, 0x00C8FF, 0x00FF8C}},
    {"Meadow", {0x64C832, 0xF0F050, 0xFF96C8, 0x96B4FF}},
    {"Sandstone", {0x3C1E14, 0xAA6E46, 0xE6C38C, 0xFFF5DC}},
    {"Lagoon", {0x003C3C, 0x00A08C, 0x50F0B4, 0xF0FFC8}},
    {"Violet hour", {0x1E0050, 0x6E28C8, 0xC878FF, 0xFFC8F0}},
    {"Signal", {0xFF0000, 0xFFC800, 0x00FF00, 0x0064FF}},
    {"Rosewood", {0x28000A, 0x8C1432, 0xDC5A6E, 0xFFC8BE}},
    {"Absinthe", {0x0A2800, 0x46A000, 0xB4FF1E, 0xF0FFB4}},
    {"Thunder", {0x050514, 0x28325A, 0x7896D2, 0xF0F0FF}},
    {"Candy", {0xFF3C96, 0xFF96D2, 0x96DCFF, 0x3CA0FF}},
    {"Autumn", {0x640A00, 0xC83C00, 0xF09614, 0x966414}},
    {"Reef", {0xFF503C, 0xFFAA5A, 0x3CD2BE, 0x005A82}},
    {"Ink", {0x000014, 0x00003C, 0x1E3CA0, 0x82AAFF}},
    {"Sulphur", {0x3C2800, 0xB48C00, 0xFFF000, 0xFFFFB4}},
    {"Peony", {0x3C0028, 0xC80078, 0xFF64B4, 0xFFDCF0}},
    {"Jade", {0x00281E, 0x007850, 0x3CD296, 0xD2FFE6}},
    {"Forge", {0x140000, 0xFF1E00, 0xFFC832, 0xFFFFFF}},
    {"Boreal", {0x001E28, 0x00B478, 0x64FFB4, 0x8C50DC}},
    {"Saffron", {0x501400, 0xFF7800, 0xFFC83C, 0xFFF0C8}},
    {"Denim", {0x14283C, 0x325A8C, 0x82AAD2, 0xE6F0FA}},
    {"Plum", {0x1E001E, 0x641464, 0xB45AB4, 0xF0C8F0}},
    {"Citrus", {0x96C800, 0xFFF03C, 0xFFA000, 0xFF5A00}},
    {"Tundra", {0x3C5050, 0x829696, 0xBED2C8, 0xFAFFFA}},
    {"Tricolour", {0x0000FF, 0xFFFFFF, 0xFF0000, 0x280028}},
    {"Cyan to gold", {0x0028C8, 0x00DCF0, 0xDCF0A0, 0xFFD200}},
};

Rgb from_hex(uint32_t rgb) {
    constexpr float k = 1.0f / 255.0f;
    return {static_cast<float>(rgb >> 16 & 0xFF) * k,
            static_cast<float>(rgb >> 8 & 0xFF) * k,
            static_cast<float>(rgb & 0xFF) * k};
}

}  // namespace

Rgb hue_colour(float hue, float saturation) {
    const float h = 6.0f * math::fract(hue);
    const float grey = 1.0f - saturation;
    return {grey + saturation * math::clamp01(math::abs(h - 3.0f) - 1.0f),
            grey + saturation * math::clamp01(2.0f - math::abs(h - 2.0f)),
            grey + saturation * math::clamp01(2.0f - math::abs(h - 4.0f))};
}

Rgb gradient(const GradientKey* keys, size_t n, float at) {
    size_t k = 1;
    while (k + 1 < n && at > keys[k].at) ++k;
    const float span = keys[k].at - keys[k - 1].at;
    return mixed(from_hex(keys[k - 1].rgb), from_hex(keys[k].rgb), math::clamp01((at - keys[k - 1].at) / span));
}

const char* palette_name(size_t id) { return kPalettes[id < kPaletteCount ? id : 0].name; }

Rgb palette_colour(size_t id, float at) {
    const Palette& p = kPalettes[id < kPaletteCount ? id : 0];
    const float place = math::fract(at) * kKeys;
    const size_t k = static_cast<size_t>(place) & (kKeys - 1);
    return mixed(from_hex(p.keys[k]), from_hex(p.keys[(k + 1) & (kKeys - 1)]), math::fract(place));
}

Tint::Tint(const Params& p)
    : base_(p.color), range_(p.color_range), saturation_(p.saturation), palette_(static_cast<size_t>(p.palette_id)) {
    if (palette_ != 0) {
        base_ -= 0.33f;
        range_ = 0.75f;     // from the first key to the last, without the way back
    }
}

Rgb Tint::at(float at, float shift) const {
    const float place = base_ + range_ * at + shift;
    if (palette_ == 0) return hue_colour(place, saturation_);
    return mixed({1.0f, 1.0f, 1.0f}, palette_colour(palette_, place), math::clamp01(saturation_ * (1.0f / 0.75f)));
}

}  // namespace k1
