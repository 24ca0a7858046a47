"""The whole rig on the virtual bench: build, flash, boot, record, ask, reset."""

import time

import numpy as np
import pytest

from harness import signals
from harness.errors import BadRequest, DutFailure
from harness.pipeline.build import build
from harness.recording import Recording
from harness.rig import open_rig


@pytest.fixture(scope="module")
def bundle():
    return build("sim")


@pytest.fixture(scope="module")
def rig(bundle, tmp_path_factory):
    with open_rig("sim", folder=tmp_path_factory.mktemp("rig"), seed=11) as rig:
        rig.flash(bundle)
        yield rig


def test_identity_is_that_of_the_image(rig, bundle):
    assert rig.identity.sha256 == bundle.sha256 and rig.identity.project == "k1-sim"
    assert rig.identity.mac == rig.board.mac.hex(":")
    assert rig.provenance == "simulated" and rig.cost_model and rig.seed == 11


def test_the_right_image_is_not_flashed_again(rig, bundle):
    before = rig.identity.boot_id
    report = rig.flash(bundle)
    assert report.skipped and rig.identity.boot_id == before


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_resets(rig, kind):
    before = rig.identity
    after = rig.reset(kind)
    assert after.boot_id != before.boot_id and after.boot_count == before.boot_count + 1
    assert after.sha256 == before.sha256
    assert rig.console.cursor(from_start=True).expect("Ready!", 5.0)


def test_a_recording(rig, tmp_path, capsys):
    stimulus = signals.four_on_floor(120.0, 4.0)
    started = time.monotonic()
    recording = rig.record(stimulus, 4.0, pattern="spectrum")
    wall_s = time.monotonic() - started
    frames = recording.frames
    assert 4.0 * 150 < recording.n_frames < 4.0 * 175
    assert np.all(np.diff(frames["seq"]) == 1) and recording.meta["lost_sentences"] == 0
    assert np.all(np.diff(frames["t_us"]) > 0) and frames["sent"].all()
    fit = recording.clock_fits["device"]
    assert abs(fit.rate - 1) < 100e-6 and fit.interval_ns < 5e6
    host_ns = fit.to_host(frames["t_us"])
    assert recording.meta["t0_ns"] <= host_ns[0] < host_ns[-1] < recording.meta["t0_ns"] + 4.1e9
    # The tap on the wires and the device's own word agree, frame by frame.
    wire = recording.wire
    assert abs(len(wire["host_ns"]) - recording.n_frames) <= 2
    assert np.array_equal(wire["rgb"][:, 0], wire["rgb"][:, 1])
    seq_at = {int(s): i for i, s in enumerate(recording.pixels["seq"])}
    nearest = [int(np.argmin(np.abs(wire["host_ns"] - ns))) for ns in host_ns[10:60]]
    for seq, w in zip(frames["seq"][10:60], nearest, strict=True):
        assert np.array_equal(recording.pixels["rgb"][seq_at[int(seq)]], wire["rgb"][w, 0])
    assert np.abs(wire["host_ns"][nearest] - host_ns[10:60]).max() <= fit.interval_ns + 1e6
    folder = recording.save(tmp_path / "r")
    back = Recording.load(folder)
    assert back.n_frames == recording.n_frames
    text = (folder / "recording.json").read_text()
    assert "bench" not in text and "skew" not in text and "jitter" not in text
    size_mb = sum(f.stat().st_size for f in folder.iterdir()) / 1e6
    with capsys.disabled():
        print(f"\n4 s recorded in {wall_s:.2f} s ({4.5 / wall_s:.0f} x real time), {size_mb:.1f} MB")
    assert size_mb / 4 * 60 < 200


def test_the_api_answers_in_virtual_time(rig):
    started, virtual = time.monotonic(), rig.clock.now_ns()
    assert rig.api.info()["mac"].lower() == rig.identity.mac
    for _ in range(5):
        rig.api.info()  # one per second allowed
    assert (rig.clock.now_ns() - virtual) / 1e9 > 4.0 > time.monotonic() - started
    assert rig.api.select("perlin")["id"] == "perlin"


def test_the_image_lists_what_the_device_has(rig, bundle):
    assert [p["id"] for p in rig.api.patterns()] == [p["id"] for p in bundle.patterns]


def test_parameters_over_the_console(rig):
    assert rig.telemetry.param("speed", 0.25) == pytest.approx(0.25)
    assert rig.telemetry.param("speed", 7.0) == 1.0
    rig.telemetry.command("reset")


def test_unknown_streams_and_lengths_are_refused(rig):
    with pytest.raises(BadRequest, match="unknown stream"):
        rig.record(None, 1.0, streams=("smell",))
    with pytest.raises(BadRequest, match="length"):
        rig.record(None, 0.0)


def test_a_restart_during_a_recording_is_the_devices_failure(rig):
    sent = []
    original = rig.clock.sleep_until

    def restart_halfway(host_ns):
        original(host_ns)
        if rig.telemetry.mark().frames > 100 and not sent:
            sent.append(rig.console.send("reboot"))

    rig.clock.sleep_until = restart_halfway
    try:
        with pytest.raises(DutFailure, match="restarted") as caught:
            rig.record(None, 5.0)
        assert "software" in caught.value.got
    finally:
        del rig.clock.sleep_until
    assert rig.record(None, 1.0).n_frames > 100


def test_a_blank_board_does_not_boot(tmp_path):
    with open_rig("sim", folder=tmp_path) as rig:
        assert rig.probe() is None
        with pytest.raises(DutFailure, match="did not boot") as caught:
            rig.reset(timeout_s=3.0)
        assert "invalid header: 0xffffffff" in caught.value.got


def test_two_virtual_rigs_at_once(bundle, tmp_path):
    with open_rig("sim", folder=tmp_path / "a") as one, open_rig("sim", folder=tmp_path / "b") as two:
        one.flash(bundle)
        two.flash(bundle)
        assert one.identity.mac != two.identity.mac


def test_same_seed_same_recording(bundle, tmp_path):
    def run(seed, name):
        with open_rig("sim", folder=tmp_path / name, seed=seed) as rig:
            rig.flash(bundle)
            return rig.record(signals.click_track(120.0, 1.0), 1.0, pattern="pulse")

    one, same, other = run(5, "a"), run(5, "b"), run(6, "c")
    for name, column in one.frames.items():
        assert np.array_equal(column, same.frames[name]), name
    assert np.array_equal(one.wire["rgb"], same.wire["rgb"]) and np.array_equal(
        one.wire["host_ns"], same.wire["host_ns"]
    )
    assert not np.array_equal(one.frames["t_us"], other.frames["t_us"])
