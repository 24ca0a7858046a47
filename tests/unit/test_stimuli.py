"""The latency stimulus, the other new stimuli, and sound files of strangers."""

import numpy as np
import pytest
import soundfile

from harness import signals
from harness.errors import BadRequest
from harness.signals import RATE_HZ


def envelope(samples, carrier_hz):
    """Amplitude by demodulation over whole periods of the carrier."""
    t = np.arange(samples.size) / RATE_HZ
    n = round(RATE_HZ / carrier_hz)
    box = np.ones(n) / n
    i, q = (np.convolve(samples * f(2 * np.pi * carrier_hz * t), box, "same") for f in (np.sin, np.cos))
    return 2 * np.hypot(i, q)


def test_telegraph_crosses_half_where_it_says():
    sound = signals.latency_telegraph(8.0, carrier_hz=1000.0, level=0.5, seed=4)
    level, halves = envelope(sound.samples, 1000.0), []
    for name, before, after in (("onsets_s", 0.0, 0.5), ("offsets_s", 0.5, 0.0)):
        for at in sound.truth[name]:
            i = at * RATE_HZ
            assert level[int(i - 0.004 * RATE_HZ)] == pytest.approx(before, abs=0.01)
            assert level[int(i + 0.004 * RATE_HZ)] == pytest.approx(after, abs=0.01)
            halves.append(np.interp(i, np.arange(level.size), level))
    # One period of the carrier blurs a single edge; over many phases that averages out.
    assert np.ptp(halves) < 0.1 and np.mean(halves) == pytest.approx(0.25, abs=0.01)


def test_telegraph_is_never_on_a_grid():
    sound = signals.latency_telegraph(60.0, seed=11)
    edges = np.sort(np.concatenate([sound.truth["onsets_s"], sound.truth["offsets_s"]])) * 1e3
    for grid_ms in (5.0, 6.0, 100.0 / 6, 100.0 / 3):
        phase = np.exp(2j * np.pi * edges / grid_ms)
        assert abs(phase.mean()) < 3.0 / np.sqrt(edges.size), f"edges keep a phase to {grid_ms:.2f} ms"
    assert 240 < edges.size < 420 and np.diff(edges).min() >= 89.9 and np.diff(edges).max() <= 220.1


def test_telegraph_has_its_chirps_its_reference_and_its_band():
    sound = signals.latency_telegraph(6.0, carrier_hz=250.0, seed=1)
    assert sound.truth["chirps_s"] == [0.0, pytest.approx(6.0 - 0.25)]
    n = round(0.25 * RATE_HZ)
    assert np.array_equal(sound.samples[:n], sound.samples[-n:])
    middle = sound.samples[round(0.7 * RATE_HZ) : round(5.2 * RATE_HZ)]
    power = np.abs(np.fft.rfft(middle)) ** 2
    f = np.fft.rfftfreq(middle.size, 1 / RATE_HZ)
    assert power[(f > 100) & (f < 400)].sum() > 0.98 * power.sum()
    assert sound.reference.shape == sound.samples.shape and 0 <= sound.reference.min() and sound.reference.max() <= 1
    both = signals.stereo(sound)
    assert both.shape == (sound.samples.size, 2) and abs(float(both[:, 1].mean())) < 1e-3
    assert not signals.stereo(signals.silence(0.1))[:, 1].any()


def test_telegraph_refuses_what_it_cannot_be():
    with pytest.raises(ValueError, match="at least 3 s"):
        signals.latency_telegraph(2.0)
    with pytest.raises(ValueError, match="do not fit"):
        signals.latency_telegraph(5.0, edge_ms=90.0)


def test_level_and_spectrum_are_measured():
    tone = signals.tone(1000.0, 1.0, level=0.5)
    assert tone.level_dbfs == pytest.approx(-9.03, abs=0.1)
    assert tone.spectrum_dbfs["1000"] == pytest.approx(-9.1, abs=0.2) and tone.spectrum_dbfs["125"] < -60
    told = tone.to_json()
    assert told["name"] == "tone_1000hz" and told["truth"]["onsets_s"] == [0.0] and "level_dbfs" in told["truth"]
    assert signals.silence(1.0).level_dbfs == -200.0


def test_noise_levels_and_clipping():
    noise = signals.noise_levels([-40.0, -20.0], step_s=1.0)
    for step in noise.truth["steps"]:
        part = noise.samples[round(step["start_s"] * RATE_HZ) : round(step["stop_s"] * RATE_HZ)]
        assert 10 * np.log10(np.mean(part**2)) == pytest.approx(step["level_dbfs"], abs=0.3)
    hot = signals.clipping(440.0, 1.0, overdrive_db=12.0)
    assert (
        np.mean(np.abs(hot.samples) >= 1.0) == pytest.approx(hot.truth["clipped"], abs=0.01)
        and hot.truth["clipped"] > 0.8
    )


@pytest.mark.parametrize("name,subtype", [("a.wav", "PCM_16"), ("a.flac", "PCM_24"), ("a.wav", "FLOAT")])
def test_files_are_read(tmp_path, name, subtype):
    wave = 0.5 * np.sin(np.arange(44_100) / 20.0)
    soundfile.write(tmp_path / name, np.stack([wave, wave], axis=1), 44_100, subtype=subtype)
    got = signals.load_stimulus(tmp_path / name)
    assert got.rate_hz == 44_100 and got.seconds == 1.0 and np.allclose(got.samples, wave, atol=1e-4)
    assert got.truth["file"] == name and "onsets_s" not in got.truth


def wav(path, samples, rate=48_000, subtype="FLOAT", **more):
    soundfile.write(path, np.asarray(samples, np.float32), rate, subtype=subtype, **more)
    return path


def broken(path, kind):
    if kind == "absent":
        return path / "none.wav"
    if kind == "text":
        (path / "t.wav").write_text("not sound at all, but long enough to look at " * 20)
        return path / "t.wav"
    if kind == "cut":
        whole = wav(path / "w.flac", np.random.default_rng(1).uniform(-0.5, 0.5, 48_000), subtype="PCM_16").read_bytes()
        (path / "c.flac").write_bytes(whole[: len(whole) // 2])
        return path / "c.flac"
    if kind == "ogg":
        soundfile.write(path / "o.ogg", np.zeros(4800), 48_000)
        return path / "o.ogg"
    samples = {"empty": [], "nan": [0.0, np.nan, 0.1], "inf": [0.0, np.inf], "loud": [0.0, 1.5]}
    if kind in samples:
        return wav(path / f"{kind}.wav", samples[kind])
    if kind == "hour":
        return wav(path / "hour.wav", np.zeros(3600 * 8000, np.int8), 8_000, "PCM_U8")
    if kind == "many":
        return wav(path / "many.wav", np.zeros((10, 9)))
    return wav(path / "slow.wav", np.zeros(100), {"slow": 4_000, "fast": 192_000}[kind])


@pytest.mark.parametrize(
    "kind,says",
    [("absent", "not a file"), ("text", "cannot be read"), ("cut", "cannot be read"), ("ogg", "OGG file"),
     ("empty", "no sample"), ("nan", "not numbers"), ("inf", "not numbers"), ("loud", "exceeds full scale"),
     ("hour", "too long"), ("many", "too many channels"), ("slow", "sample rate"), ("fast", "sample rate")],
)  # fmt: skip
def test_unusable_files_get_a_clear_error(tmp_path, kind, says):
    with pytest.raises(BadRequest, match=says):
        signals.load_stimulus(broken(tmp_path, kind))
