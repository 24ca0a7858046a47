// Goertzel recursion s[n] = x[n] w[n] + 2 cos(w0) s[n-1] - s[n-2]; |X|^2 = s1^2 + s2^2 - 2 cos(w0) s1 s2
// (G. Goertzel, 1958). The recursion of one bin waits for its own last result, so four neighbouring bins run side by
// side, newest sample first: a bin's blocks end at the newest sample, hence the four share a stretch and only their
// older ends differ. Running backwards in time leaves magnitudes unchanged. The sample loop is unrolled by hand:
// fewer branches on the chip, and fewer basic blocks to count on the virtual board.
#include "core/goertzel.h"

#include <cstring>

#include "core/math.h"

namespace k1 {

namespace {

constexpr float kFirstHz = 77.78f;
constexpr float kWindowSigma = 0.8f;
constexpr float kSemitone = 1.0594630943593f;
constexpr int kWindowShift = 22;    // 32 - log2(1024)

struct State {
    float s1, s2, coeff;
    uint32_t phase, step;
};

inline __attribute__((always_inline)) void feed(State& b, float x, const float* window) {
    const float s0 = (x * window[b.phase >> kWindowShift] - b.s2) + b.coeff * b.s1;
    b.phase += b.step;
    b.s2 = b.s1;
    b.s1 = s0;
}

inline __attribute__((always_inline)) void feed4(State& a, State& b, State& c, State& d, float x, const float* window) {
    feed(a, x, window);
    feed(b, x, window);
    feed(c, x, window);
    feed(d, x, window);
}

// `n` samples (a multiple of 4) ending before `end`, newest first, into four bins.
void run_four(State* group, const float* end, size_t n, const float* window) {
    State a = group[0], b = group[1], c = group[2], d = group[3];
    for (const float* p = end; p != end - n; p -= 4) {
        feed4(a, b, c, d, p[-1], window);
        feed4(a, b, c, d, p[-2], window);
        feed4(a, b, c, d, p[-3], window);
        feed4(a, b, c, d, p[-4], window);
    }
    group[0] = a;
    group[1] = b;
    group[2] = c;
    group[3] = d;
}

// The same for one bin: the older end that only the longer blocks reach.
void run_one(State& bin, const float* end, size_t n, const float* window) {
    State a = bin;
    for (const float* p = end; p != end - n; p -= 4) {
        feed(a, p[-1], window);
        feed(a, p[-2], window);
        feed(a, p[-3], window);
        feed(a, p[-4], window);
    }
    bin = a;
}

}  // namespace

float bin_frequency_hz(size_t i) { return kFirstHz * math::exp2(static_cast<float>(i) / 12.0f); }

size_t bin_block(size_t i) {
    const float next_hz = bin_frequency_hz(i) * (kSemitone - 1.0f);
    return static_cast<size_t>(static_cast<float>(kSampleRateHz) / (2.0f * next_hz)) / 4 * 4;
}

void GoertzelBank::begin() {
    float sum = 0.0f;
    for (size_t k = 0; k < kWindow; ++k) {
        const float u = (2.0f * (static_cast<float>(k) + 0.5f) / kWindow - 1.0f) / kWindowSigma;
        window_[k] = math::exp(-0.5f * u * u);
        sum += window_[k];
    }
    const float gain = sum / kWindow;
    for (size_t i = 0; i < kBins; ++i) {
        Bin& b = bins_[i];
        b.block = static_cast<uint16_t>(bin_block(i));
        b.coeff = 2.0f * math::cos_turns(bin_frequency_hz(i) / static_cast<float>(kSampleRateHz));
        b.step = static_cast<uint32_t>(0xFFFFFFFFu / b.block);
        b.scale = 2.0f / (gain * static_cast<float>(b.block));
        const float rank = math::sq(math::sq(static_cast<float>(i) / kBins));
        b.weight = math::sqrt(rank * 0.995f + 0.005f);
    }
    std::memset(history_, 0, sizeof history_);
    write_ = 0;
}

void GoertzelBank::push(const float* samples) {
    std::memcpy(history_ + write_, samples, kHop * sizeof(float));
    std::memcpy(history_ + write_ + kRing, samples, kHop * sizeof(float));
    write_ += kHop;
    if (write_ == kRing) write_ = 0;
}

void GoertzelBank::run(float* magnitude, bool weighted) const {
    const float* end = history_ + write_ + kRing;
    for (size_t first = 0; first < kBins; first += 4) {
        State group[4];
        for (size_t k = 0; k < 4; ++k) {
            const Bin& b = bins_[first + k];
            group[k] = {0.0f, 0.0f, b.coeff, b.step / 2, b.step};
        }
        const size_t common = bins_[first + 3].block;
        run_four(group, end, common, window_);
        for (size_t k = 0; k < 4; ++k) {
            const Bin& b = bins_[first + k];
            run_one(group[k], end - common, b.block - common, window_);
            const State& s = group[k];
            const float power = s.s1 * s.s1 + s.s2 * s.s2 - s.coeff * s.s1 * s.s2;
            magnitude[first + k] = math::sqrt(power) * b.scale * (weighted ? b.weight : 1.0f);
        }
    }
}

}  // namespace k1
