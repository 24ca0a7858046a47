"""A recording comes back from disk as it was, whole or not at all."""

import json
import zipfile

import numpy as np
import pytest
import soundfile

from harness.errors import BadRequest, HarnessFault
from harness.recording import FRAME_COLUMNS, Audio, Recording
from harness.timebase import ClockFit


def make(n=50, seed=1):
    rng = np.random.default_rng(seed)
    frames = {k: rng.integers(0, 100, n).astype(t) for k, t in FRAME_COLUMNS.items()}
    stamps = np.arange(n, dtype=np.int64)
    rgb = rng.integers(0, 256, (n, 160, 3), dtype=np.uint8)
    pixels = {"seq": stamps, "t_us": stamps * 6000, "host_ns": stamps, "rgb": rgb}
    wire = {"host_ns": stamps, "rgb": np.stack([rgb, rgb], 1)}
    audio = Audio((rng.uniform(-1, 1, 4800)).astype(np.float32), 48_000, 17)
    console = [(1, "plain"), (2, "back\\slash \\n and\nnewline\r"), (3, "tab\tand ümlaut")]
    fits = {"device": ClockFit(1e9, 1.00001, 5.0, 400.0, 16, 77)}
    meta = {"rig": "sim", "provenance": "simulated", "seed": 5, "pattern": "perlin"}
    return Recording(meta, frames, pixels, wire, audio, console, [{"kind": "beat", "t_us": 5}], fits)


def test_round_trip(tmp_path):
    first = make()
    first.save(tmp_path / "r")
    back = Recording.load(tmp_path / "r")
    assert back.meta == {**first.meta, "schema": 1}
    for stream in ("frames", "pixels", "wire"):
        for name, column in getattr(first, stream).items():
            assert np.array_equal(getattr(back, stream)[name], column)
            assert getattr(back, stream)[name].dtype == column.dtype
    assert np.abs(back.audio.samples - first.audio.samples).max() < 2**-22
    assert (back.audio.rate_hz, back.audio.start_ns) == (48_000, 17)
    assert back.console == first.console and back.events == first.events and back.clock_fits == first.clock_fits
    assert [p.name for p in tmp_path.iterdir()] == ["r"]


def test_without_wire_and_audio(tmp_path):
    recording = make()
    recording.wire = recording.audio = None
    recording.save(tmp_path / "r")
    back = Recording.load(tmp_path / "r")
    assert back.wire is None and back.audio is None


def test_saving_again_replaces(tmp_path):
    make().save(tmp_path / "r")
    make(n=3).save(tmp_path / "r")
    assert Recording.load(tmp_path / "r").n_frames == 3


def test_foreign_folders_stay(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("dear")
    with pytest.raises(BadRequest, match="not a recording"):
        make().save(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_a_failed_save_leaves_nothing(tmp_path):
    recording = make()
    recording.meta["bad"] = float("nan")
    with pytest.raises(ValueError):
        recording.save(tmp_path / "r")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["no_head", "schema", "no_json", "arrays", "console", "shape", "missing_column"])
def test_damage_is_named(tmp_path, damage):
    recording = make()
    if damage == "shape":
        recording.pixels["rgb"] = recording.pixels["rgb"][:, :100]
    if damage == "missing_column":
        del recording.frames["render_us"]
    folder = recording.save(tmp_path / "r")
    head = folder / "recording.json"
    if damage == "no_head":
        head.unlink()
    elif damage == "schema":
        head.write_text(json.dumps({"meta": {"schema": 99}}))
    elif damage == "no_json":
        head.write_text("{")
    elif damage == "arrays":
        (folder / "streams.npz").write_bytes(b"PK\x03\x04nonsense")
    elif damage == "console":
        (folder / "console.txt").write_text("no stamp\n")
    kind = HarnessFault if damage in ("arrays", "console", "shape", "missing_column") else BadRequest
    with pytest.raises(kind):
        Recording.load(folder)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    make().save(tmp_path / "r")
    monkeypatch.setattr("harness.recording.MAX_UNPACKED_BYTES", 50 * 160 * 3)
    monkeypatch.setattr("numpy.load", lambda *a, **k: pytest.fail("unpacked all the same"))
    with pytest.raises(HarnessFault, match="at most 24000 are read"):
        Recording.load(tmp_path / "r")


def test_an_array_that_claims_more_than_is_stored_is_refused(tmp_path):
    make().save(tmp_path / "r")
    file = tmp_path / "r" / "streams.npz"
    header = b"{'descr': '<i8', 'fortran_order': False, 'shape': (1000000000000,), }"
    header += b" " * (117 - len(header)) + b"\n"
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("frames.seq.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 8)
    with pytest.raises(HarnessFault, match="claims the shape"):
        Recording.load(tmp_path / "r")


def test_endless_sound_is_refused(tmp_path, monkeypatch):
    made = make()
    made.save(tmp_path / "r")
    need = sum(c.nbytes for s in (made.frames, made.pixels, made.wire) for c in s.values()) + 100_000
    monkeypatch.setattr("harness.recording.MAX_UNPACKED_BYTES", need)
    Recording.load(tmp_path / "r")
    soundfile.write(tmp_path / "r" / "audio.flac", np.zeros(need, np.float32), 48_000)
    with pytest.raises(HarnessFault, match="too long"):
        Recording.load(tmp_path / "r")
