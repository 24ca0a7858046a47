"""Which sound files are taken for tuning, and in which shape."""

import numpy as np
import pytest
import soundfile

from harness import signals
from harness.analysis.music import describe
from harness.errors import BadRequest
from harness.pipeline.artifacts import ArtifactStore
from harness.pipeline.tuning import clips as clips_module
from harness.pipeline.tuning.clips import ClipRefused, clip_from_store, clip_of, house_clips, load_clip, refuse_twins
from harness.pipeline.tuning.trials import TRIAL_S, excerpt, trials


def saved(path, samples, rate_hz=48_000, **more):
    soundfile.write(path, samples, rate_hz, **more)
    return path


def music(seconds=8.0, level=0.8):
    return signals.four_on_floor(120.0, seconds, level=level).samples


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg"])
def test_all_three_formats_are_read(tmp_path, name):
    clip = load_clip(saved(tmp_path / name, music()))
    assert clip.name == "a" and clip.music.tempo.bpm == pytest.approx(120.0, rel=0.01)
    assert clip.sound.rate_hz == 48_000 and clip.sound.seconds == pytest.approx(8.0, abs=0.05)
    assert not clip.synthetic


def test_any_rate_and_level_come_to_one_shape(tmp_path):
    from scipy.signal import resample

    low = resample(music(), 8 * 22_050) * 0.2
    stereo = np.stack([low, low], axis=1)
    clip, loud = load_clip(saved(tmp_path / "low.wav", stereo, 22_050)), load_clip(saved(tmp_path / "l.wav", music()))
    assert clip.sound.rate_hz == 48_000 and clip.sound.seconds == pytest.approx(8.0, abs=0.01)
    assert clip.sound.level_dbfs == pytest.approx(loud.sound.level_dbfs, abs=0.2)
    assert float(np.abs(clip.sound.samples).max()) <= 0.901


def test_what_a_lossy_coder_puts_beyond_full_scale_is_turned_down(tmp_path):
    square = np.sign(np.sin(np.arange(48_000 * 6) * 2 * np.pi * 200 / 48_000)) * 0.999
    path = saved(tmp_path / "o.ogg", square * (1 + 0 * square))
    sound = signals.load_stimulus(path, lossy=True)
    assert sound.truth["overshoot_db"] > 0 and float(np.abs(sound.samples).max()) <= 1.0
    with pytest.raises(BadRequest, match="OGG file"):
        signals.load_stimulus(path)


def bad(tmp_path, kind):
    if kind == "text":
        path = tmp_path / "t.wav"
        path.write_text("no sound at all " * 100)
        return path
    if kind == "absent":
        return tmp_path / "none.flac"
    made = {
        "short": music(2.0),
        "long": np.zeros(601 * 8000, np.float32),
        "empty": np.zeros(0, np.float32),
        "quiet": music() * 0.01,
        "cut": np.clip(music() * 8.0, -1.0, 1.0),
        "silent": np.concatenate([music(), np.zeros(48_000 * 12)]),
        "nothing": np.zeros(48_000 * 8),
        "over": music() * 2.0,
    }[kind]
    return saved(tmp_path / f"{kind}.wav", made, 8_000 if kind == "long" else 48_000, subtype="FLOAT")


@pytest.mark.parametrize(
    "kind,fault",
    [("text", "format"), ("absent", "format"), ("short", "length"), ("long", "length"), ("empty", "length"),
     ("quiet", "level"), ("cut", "clipping"), ("silent", "silence"), ("nothing", "silence"), ("over", "clipping")],
)  # fmt: skip
def test_each_fault_is_told_by_its_kind(tmp_path, kind, fault):
    with pytest.raises(ClipRefused) as caught:
        load_clip(bad(tmp_path, kind))
    error = caught.value
    assert [p.fault for p in error.problems] == [fault]
    assert error.exit_code == 4 and error.expected
    assert all(p.text and p.expected for p in error.problems)


def test_all_faults_of_a_clip_are_told_at_once(tmp_path):
    part = np.clip(music(1.0) * 8, -1.0, 1.0)
    path = saved(tmp_path / "x.wav", np.concatenate([part, np.zeros(48_000 * 3)]), subtype="FLOAT")
    with pytest.raises(ClipRefused, match="2 more") as caught:
        load_clip(path)
    assert [p.fault for p in caught.value.problems] == ["length", "silence", "clipping"]


def test_a_file_too_big_is_not_even_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(clips_module, "MAX_FILE_BYTES", 1000)
    with pytest.raises(ClipRefused, match="too big"):
        load_clip(saved(tmp_path / "a.wav", music()))


def test_a_clip_can_lie_in_the_store(tmp_path):
    store = ArtifactStore(tmp_path / "store")
    store.put("tuning", "upload-1", saved(tmp_path / "a.flac", music()))
    clip = clip_from_store(store, "upload-1")
    assert clip.name == "upload-1" and clip.sha256 == load_clip(tmp_path / "a.flac").sha256
    store.put_bytes("tuning", "upload-2", b"not sound " * 50, ".wav")
    with pytest.raises(ClipRefused):
        clip_from_store(store, "upload-2")


def test_one_sound_cannot_prove_itself(tmp_path):
    one, other = load_clip(saved(tmp_path / "a.wav", music())), clip_of(signals.four_on_floor(90.0, 8.0))
    refuse_twins([one], [other])
    copy = load_clip(saved(tmp_path / "renamed.flac", soundfile.read(tmp_path / "a.wav")[0]))
    with pytest.raises(BadRequest, match="same sound"):
        refuse_twins([one], [other, copy])


def test_our_own_clips_are_usable_and_differ():
    clips = house_clips()
    assert len({c.sha256 for c in clips}) == 3 and all(c.synthetic for c in clips)
    assert all(c.music.tempo is not None for c in clips)


def test_trials_depend_on_nothing_but_clips_and_seed():
    clips = house_clips()[:2]
    first, again, other = trials(clips, 2, 7), trials(clips, 2, 7), trials(clips, 2, 8)
    assert [t.clip for t in first] == [clips[0].name, clips[1].name] * 2
    assert all(np.array_equal(a.sound.samples, b.sound.samples) for a, b in zip(first, again, strict=True))
    assert all(a.sound.truth["loud"] != b.sound.truth["loud"] for a, b in zip(first, other, strict=True))
    assert len({tuple(t.sound.truth["loud"]) for t in first}) == 4
    assert all(t.sound.seconds == pytest.approx(TRIAL_S, abs=0.001) for t in first)


def test_excerpts_are_taken_where_there_is_sound():
    loud = signals.pink_noise(20.0, 0.1).samples
    sound = signals.Stimulus("x", np.concatenate([loud * np.float32(0.01), loud, loud * np.float32(0.01)]))
    for n in range(3):
        part = excerpt(sound, n, 3)
        assert part.level_dbfs > -27.0, f"part {n} is quiet"
    short = excerpt(signals.four_on_floor(120.0, 5.5), 0, 1)
    assert short.seconds >= TRIAL_S and describe(short).silent == 0.0
