"""An update that does not work is undone by the device itself: by its self-check, by a timer when its tasks hang, by
the watchdog when they keep the processor. What comes over the cable stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from patched_firmware import Edit, PatchedFirmware

from harness.errors import DutFailure
from harness.pipeline.build import build
from harness.rig import FirmwareBundle, Rig, open_rig, ota

AUDIO = "for (;;) {\n        uint64_t t_last_us = 0;"
RENDER = "for (;;) frame_loop().step();"
SUPERVISOR = "uint64_t next_us = hal::clock_us();\n    for (;;) {"
ASLEEP = "for (;;) hal::sleep_ms(1000);\n    "

# Neither sound nor light, but the rest is well.
NO_WORK: list[Edit] = [("core/app.cpp", AUDIO, ASLEEP + AUDIO), ("core/app.cpp", RENDER, ASLEEP)]
# Nobody is left to notice that.
NO_SUPERVISOR: list[Edit] = [*NO_WORK, ("core/supervisor.cpp", SUPERVISOR, ASLEEP + SUPERVISOR)]
# Both cores are taken by tasks that never wait.
SPINNING: list[Edit] = [
    ("core/app.cpp", AUDIO, "volatile bool always = true;\n    while (always) {}\n    " + AUDIO),
    ("core/app.cpp", RENDER, "volatile bool always = true;\n    while (always) {}"),
]


@pytest.fixture(scope="module")
def good() -> FirmwareBundle:
    return build("sim")


@pytest.fixture(scope="module")
def rig(good: FirmwareBundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with open_rig("sim", folder=tmp_path_factory.mktemp("rig")) as rig:
        print(f"seed {rig.seed}")
        rig.flash(good)
        assert rig.identity.slot_state != "pending", "what came over the cable needs no confirmation"
        yield rig


@pytest.mark.parametrize(
    ("name", "edits", "told", "words", "pending_s"),
    [
        ("no work", NO_WORK, "rolled back by itself", "Self-check failed: no LED frames sent; rolling back", (30, 31)),
        ("no supervisor", NO_SUPERVISOR, "rolled back by itself", "", (32, 33)),
        ("spinning", SPINNING, "fell back to the old image", "Task watchdog got triggered", (5, 6)),
    ],
    ids=["no work", "no supervisor", "spinning"],
)
def test_a_bad_update_returns_to_the_old_image(
    rig: Rig,
    good: FirmwareBundle,
    patched: PatchedFirmware,
    name: str,
    edits: list[Edit],
    told: str,
    words: str,
    pending_s: tuple[float, float],
) -> None:
    bad = patched.variant(name, *edits)
    assert bad.sha256 != good.sha256
    assert rig.reset("hard").sha256 == good.sha256
    at, n_lines = rig.console.size, rig.console.n_lines
    with pytest.raises(DutFailure, match=told):
        ota.update(rig, bad)
    assert (rig.identity.sha256, rig.identity.slot) == (good.sha256, 0)
    text = rig.console.text_from(at).decode("ascii", "replace")
    assert words in text
    assert "Self-check failed" not in text or words.startswith("Self-check"), "the timer was meant to be the one"
    # From the start of one boot to the start of the next, on the host's clock; less the time in the boot loaders.
    boots = [line.host_ns for line in rig.console.lines_since(n_lines) if line.text.startswith("ESP-ROM:")]
    assert len(boots) == 2
    assert pending_s[0] <= (boots[1] - boots[0]) / 1e9 - 0.3 <= pending_s[1]
    # It stays: neither another boot nor a cold one tries the given-up image again.
    assert rig.reset("soft").sha256 == good.sha256
    assert rig.reset("hard").sha256 == good.sha256
    assert rig.record(None, 0.5, streams=("frames",), pattern="lava").n_frames > 50


def test_a_good_update_after_bad_ones_is_kept(rig: Rig, extended: FirmwareBundle) -> None:
    ota.update(rig, extended)
    assert (rig.identity.sha256, rig.identity.slot) == (extended.sha256, 1)
    assert rig.reset("hard").sha256 == extended.sha256
