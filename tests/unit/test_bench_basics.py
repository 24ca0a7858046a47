"""Clocks, random streams, settings, identity and event log of the virtual bench."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.bench.clock import EPOCH_NS, DeviceClock, HostClock
from harness.bench.config import BoardConfig
from harness.bench.draws import DrawPool, Draws, fresh_seed
from harness.bench.events import EventLog
from harness.bench.identity import load_mac
from harness.errors import BadRequest

DAY_NS = 86_400_000_000_000


@given(st.integers(0, DAY_NS), st.integers(0, DAY_NS), st.floats(-500, 500))
def test_device_clock_goes_both_ways(boot_ns: int, since_ns: int, skew_ppm: float) -> None:
    clock = DeviceClock(boot_ns, skew_ppm)
    device = clock.to_device(boot_ns + since_ns)
    assert abs(device - since_ns * (1 + skew_ppm * 1e-6)) <= 20  # float64 of the comparison itself
    assert abs(clock.to_host(device) - boot_ns - since_ns) <= 1
    assert clock.to_device(boot_ns - 1_000) == 0


def test_a_fast_crystal_gains() -> None:
    clock = DeviceClock(1_000, 20.0)
    assert clock.to_device(1_000 + 1_000_000_000) == 1_000_020_000
    assert clock.to_host(1_000_020_000) == 1_000 + 1_000_000_000


def test_host_clock_leaves_wall_time_at_a_whole_epoch() -> None:
    clock = HostClock()
    clock.advance_to(EPOCH_NS + 5)
    clock.advance_to(EPOCH_NS + 1)
    assert clock.now_ns == EPOCH_NS + 5
    clock.leave_wall()
    assert (clock.now_ns, clock.epoch) == (EPOCH_NS + 5, 0)
    clock.enter_wall()
    assert clock.is_wall and clock.wall_now() >= EPOCH_NS + 5
    clock.advance_to(clock.wall_now())
    clock.leave_wall()
    assert (clock.now_ns, clock.epoch, clock.is_wall) == (2 * EPOCH_NS, 1, False)


def test_streams_are_named_independent_and_repeatable() -> None:
    def first(seed: int, name: str, *keys: int) -> float:
        return float(Draws(seed).stream(name, *keys).random())

    values = {first(1, "a"), first(1, "b"), first(2, "a"), first(1, "a", 0), first(1, "a", 1), first(1, "a", 0, 1)}
    assert len(values) == 6
    assert first(1, "a", 0) == first(1, "a", 0)
    with pytest.raises(ValueError, match="seed"):
        Draws(-1)
    assert fresh_seed() != fresh_seed()


def test_pooled_scalars_have_their_distribution() -> None:
    pool = DrawPool(Draws(3).stream("x"), "exponential", 2.0)
    values = [pool.take() for _ in range(10_000)]
    assert np.mean(values) == pytest.approx(2.0, rel=0.05) and min(values) >= 0
    flat = DrawPool(Draws(3).stream("x"), "uniform", 2.0)
    assert max(flat.take() for _ in range(10_000)) <= 2.0


@pytest.mark.parametrize(
    "bad",
    [
        {"no_such_key": 1},
        {"clock_skew_ppm": 1e6},
        {"wiring": "crossed"},
        {"faults": {"drop_frames": 1.5}},
        {"grant_ms": 0},
    ],
)
def test_settings_are_validated(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        BoardConfig.model_validate(bad)


def test_console_rate() -> None:
    assert BoardConfig().console_rate() == 400_000
    assert BoardConfig(console="uart").console_rate() == 11_520
    assert BoardConfig(console="uart").console_rate(921_600) == 92_160


def test_mac_stays_with_the_folder(tmp_path: Path) -> None:
    mac = load_mac(tmp_path, None, Draws(1))
    assert mac[:3].hex() == "7cdfa1" and len(mac) == 6
    assert load_mac(tmp_path, None, Draws(2)) == mac
    assert load_mac(tmp_path / "other", None, Draws(2)) != mac
    given_mac = bytes.fromhex("020000000001")
    assert load_mac(tmp_path, given_mac, Draws(2)) == given_mac == load_mac(tmp_path, None, Draws(3))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"mac": 5}', '{"mac": "zz"}', '{"mac": "01:02"}'])
def test_a_broken_state_folder_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "board.json").write_text(text)
    with pytest.raises(BadRequest) as caught:
        load_mac(tmp_path, None, Draws(1))
    assert "board.json" in caught.value.evidence


def test_event_log_keeps_and_writes(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path, keep=10)
    for i in range(12):
        log.add(i, "even" if i % 2 == 0 else "odd", value=i)
    assert [e["value"] for e in log.events("odd")][-1] == 11
    assert len(log.events()) <= 10
    log.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == 12 and lines[3] == {"host_ns": 3, "kind": "odd", "value": 3}
