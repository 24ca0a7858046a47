// What the device hears.
#include "core/api.h"
#include "core/audio.h"
#include "core/math.h"
#include "core/stamp.h"
#include "core/tempo_lock.h"
#include "core/text.h"
#include "hal/clock.h"
#include "hal/system.h"

namespace k1 {
namespace api {
namespace {

constexpr uint32_t kCalibrationFrames = 512;
constexpr size_t kTopTempi = 5;

// All tempo bins, strongest first, in memory that is given back at the end of a handler.
class AllTempi {
  public:
    AllTempi() : bins_(static_cast<TempoBin*>(hal::heap_take(sizeof(TempoBin) * kTempi))) {
        if (bins_ != nullptr) n_ = audio().top_tempi(bins_, kTempi);
    }
    ~AllTempi() { hal::heap_give(bins_); }
    AllTempi(const AllTempi&) = delete;
    AllTempi& operator=(const AllTempi&) = delete;

    bool ok() const { return bins_ != nullptr; }
    size_t size() const { return n_; }
    const TempoBin& operator[](size_t i) const { return bins_[i]; }
    float sum() const {
        float s = 0.0f;
        for (size_t i = 0; i < n_; ++i) s += bins_[i].magnitude;
        return s;
    }
    // Shannon entropy of the magnitudes over its greatest possible value: 0 one bin holds all, 1 all are equal.
    float entropy() const {
        const float total = sum();
        if (n_ < 2 || !(total > 0.0f)) return 0.0f;
        float h = 0.0f;
        for (size_t i = 0; i < n_; ++i) {
            const float share = bins_[i].magnitude / total;
            if (share > 0.0f) h -= share * math::log2(share);
        }
        return h / math::log2(static_cast<float>(n_));
    }

  private:
    TempoBin* bins_;
    size_t n_ = 0;
};

void out_of_memory(HttpResponse& response) { response.error(503, "out_of_memory", "no memory for the tempo bins"); }

void write_top_bins(JsonWriter& j, const AllTempi& tempi) {
    j.array("top_bins");
    for (size_t i = 0; i < tempi.size() && i < kTopTempi; ++i) {
        const TempoBin& b = tempi[i];
        j.object().num("idx", b.index).real("bpm", static_cast<double>(b.bpm), 3).real("magnitude", static_cast<double>(b.magnitude));
        j.real("phase", static_cast<double>(b.phase)).real("beat", static_cast<double>(math::sin(b.phase))).end_object();
    }
    j.end_array();
}

bool number_in(const JsonValue& value, float least, float most, float* out) {
    return value.as_real(out) && *out >= least && *out <= most;
}

}  // namespace

void audio_config_get(const HttpRequest&, HttpResponse& response) {
    JsonWriter j = response.json();
    j.object().real("microphone_gain", static_cast<double>(audio().gain())).real("vu_floor_pct", static_cast<double>(audio().vu_floor()));
    j.flag("active", audio().active()).end_object();
}

// As with parameters: all or nothing.
void audio_config_post(const HttpRequest& request, HttpResponse& response) {
    JsonObject body;
    if (!body_object(request, response, &body)) return;
    const JsonValue gain = body.find("microphone_gain"), floor = body.find("vu_floor_pct"), active = body.find("active");
    float new_gain = 0.0f, new_floor = 0.0f;
    bool new_active = false;
    if (gain.present() && !number_in(gain, 0.5f, 2.0f, &new_gain))
        return invalid_value(response, "microphone_gain", "a number from 0.5 to 2.0");
    if (floor.present() && !number_in(floor, 0.5f, 0.98f, &new_floor))
        return invalid_value(response, "vu_floor_pct", "a number from 0.5 to 0.98");
    if (active.present() && !active.as_bool(&new_active)) return invalid_value(response, "active", "true or false");
    if (gain.present()) audio().set_gain(new_gain);
    if (floor.present()) audio().set_vu_floor(new_floor);
    if (active.present()) audio().set_active(new_active);
    audio_config_get(request, response);
}

void noise_calibrate(const HttpRequest& request, HttpResponse& response) {
    JsonObject body;
    if (!body_object(request, response, &body, true)) return;
    audio().calibrate_noise(kCalibrationFrames);
    response.json().object().str("status", "started").num("frames", kCalibrationFrames).end_object();
}

void audio_tempo(const HttpRequest&, HttpResponse& response) {
    const AllTempi tempi;
    if (!tempi.ok()) return out_of_memory(response);
    const AudioSnapshot s = audio().snapshot();
    const TempoLockState lock = tempo_lock().state();
    const float sum = tempi.sum();
    const float peak = tempi.size() > 0 && sum > 0.0f ? tempi[0].magnitude / sum : 0.0f;
    JsonWriter j = response.json();
    j.object().real("tempo_confidence", static_cast<double>(s.tempo_confidence)).real("tempi_power_sum", static_cast<double>(sum));
    j.flag("silence_detected", s.silent).real("silence_level", static_cast<double>(s.silence_level)).real("max_tempo_range", 1.0);
    j.flag("snapshot_valid", s.valid).real("tempo_bpm", static_cast<double>(s.tempo_bpm), 3);
    j.object("confidence_metrics").real("peak_ratio", static_cast<double>(peak)).real("entropy", static_cast<double>(tempi.entropy()));
    j.real("temporal_stability", static_cast<double>(lock.stability));
    j.real("combined", static_cast<double>(s.tempo_confidence)).end_object();
    j.str("tempo_lock_state", lock.locked ? "LOCKED" : "UNLOCKED");
    j.num("time_in_state_ms", static_cast<uint32_t>((hal::clock_us() - lock.since_us) / 1000));
    j.real("locked_tempo_bpm", static_cast<double>(lock.bpm), 3);
    write_top_bins(j, tempi);
    j.end_object();
}

void audio_snapshot(const HttpRequest&, HttpResponse& response) {
    const AudioSnapshot s = audio().snapshot();
    JsonWriter j = response.json();
    j.object().real("vu_level", static_cast<double>(s.vu)).real("vu_level_raw", static_cast<double>(s.vu_raw));
    j.real("tempo_confidence", static_cast<double>(s.tempo_confidence)).num("update_counter", s.updates);
    j.num("timestamp_us", s.updates > 0 ? stamp32_us(s.t_us) : 0).flag("is_valid", s.valid).flag("is_silence", s.silent);
    j.real("tempo_bpm", static_cast<double>(s.tempo_bpm), 3).real("beat_phase", static_cast<double>(s.beat_phase));
    j.real("onset", static_cast<double>(s.onset)).num("beats", s.beats).num("onsets", s.onsets).end_object();
}

// `count` values from `offset` on, every `stride`-th; those beyond the end are left out. The tempo bins are taken over their
// whole range with as many steps. No history and no novelty curve are kept: asking for them is an error, not an empty answer.
void audio_arrays(const HttpRequest& request, HttpResponse& response) {
    uint32_t count = 16, offset = 0, stride = 0;
    bool chroma = false, novelty = false, history = false;
    if (!query_number(request, response, "count", 4, kBins, &count)) return;
    stride = static_cast<uint32_t>(kBins) / count;
    if (!query_number(request, response, "offset", 0, kBins - 1, &offset)) return;
    if (!query_number(request, response, "stride", 1, kBins, &stride)) return;
    if (!query_flag(request, response, "include_chromagram", &chroma)) return;
    if (!query_flag(request, response, "include_novelty", &novelty)) return;
    if (!query_flag(request, response, "history", &history)) return;
    if (history || novelty) return response.error(400, "invalid_param", "history and novelty are not kept by this firmware");
    const AllTempi tempi;
    if (!tempi.ok()) return out_of_memory(response);
    const AudioSnapshot s = audio().snapshot();
    JsonWriter j = response.json();
    j.object().array("spectrogram");
    uint32_t emitted = 0;
    for (uint32_t i = offset; i < kBins && emitted < count; i += stride, ++emitted) j.real(static_cast<double>(s.spectrum[i]));
    j.end_array().array("tempi");
    const uint32_t tempo_stride = static_cast<uint32_t>(kTempi) / count;
    for (uint32_t i = 0; i < count; ++i) {
        float magnitude = 0.0f;
        for (size_t k = 0; k < tempi.size(); ++k)
            if (tempi[k].index == i * tempo_stride) magnitude = tempi[k].magnitude;
        j.real(static_cast<double>(magnitude));
    }
    j.end_array();
    if (chroma) {
        j.array("chromagram");
        for (float c : s.chroma) j.real(static_cast<double>(c));
        j.end_array();
    }
    j.num("count", emitted).num("offset", offset).num("stride", stride).num("tempi_stride", tempo_stride);
    j.num("source_bins", kBins).num("source_tempi", kTempi).flag("history", false).flag("include_chromagram", chroma);
    j.flag("include_novelty", false).end_object();
}

}  // namespace api
}  // namespace k1
