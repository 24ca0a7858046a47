"""DTR and RTS to EN and GPIO0: the sequences of real tools on each wiring."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bench.lines import EN_LOW, LineEvent, ResetLines, Wiring
from harness.errors import BadRequest

APP = LineEvent("EN_RISE", strap_download=False)
DOWNLOAD = LineEvent("EN_RISE", strap_download=True)
ALL: list[Wiring] = ["cross", "direct", "usb-jtag"]

# (DTR, RTS) pairs. Every write of RTS is followed by a rewrite of DTR in esptool, hence the doubles.
OPEN = [(True, False), (True, True)]
CLASSIC = [(False, True), (False, True), (True, True), (True, False), (True, False), (False, False)]
CLASSIC_FROM_RELEASED = [(False, False), *CLASSIC]
TIGHT = [(False, False), (True, True), (False, True), (True, False), (False, False)]
HARD_RESET = [(False, True), (False, True), (False, False), (False, False)]
USB_RESET = [(False, False), (True, False), (True, True), (False, True), (False, True), (False, False)]


def play(lines: ResetLines, steps: list[tuple[bool, bool]]) -> list[LineEvent]:
    return [event for dtr, rts in steps for event in lines.set(dtr, rts)]


def test_opening_and_closing_does_nothing_on_a_dev_kit() -> None:
    lines = ResetLines("cross")
    assert play(lines, [*OPEN, (False, False), *OPEN, (False, False)]) == []
    assert play(lines, [(False, False), *OPEN, *OPEN]) == []


def test_opening_and_closing_does_nothing_on_usb() -> None:
    assert play(ResetLines("usb-jtag"), [*OPEN, (False, False), *OPEN, (False, False)]) == []


def test_opening_with_rts_holds_a_directly_wired_board() -> None:
    lines = ResetLines("direct")
    assert play(lines, OPEN) == [EN_LOW]
    assert lines.held
    assert lines.set(False, False) == [APP]


@pytest.mark.parametrize("wiring", ALL)
def test_classic_after_opening_enters_the_loader(wiring: Wiring) -> None:
    lines = ResetLines(wiring)
    assert play(lines, [*OPEN, *CLASSIC])[-1] == DOWNLOAD
    assert play(lines, HARD_RESET) == [EN_LOW, APP]


@pytest.mark.parametrize("wiring", ["cross", "direct"])
def test_classic_later_on(wiring: Wiring) -> None:
    assert play(ResetLines(wiring), CLASSIC_FROM_RELEASED) == [EN_LOW, DOWNLOAD]


@pytest.mark.parametrize("wiring", ["cross", "direct"])
def test_simultaneous_change(wiring: Wiring) -> None:
    assert play(ResetLines(wiring), TIGHT)[-1] == DOWNLOAD


@pytest.mark.parametrize("wiring", ["usb-jtag"])
def test_usb_reset(wiring: Wiring) -> None:
    assert play(ResetLines(wiring), [*OPEN, *USB_RESET]) == [EN_LOW, DOWNLOAD]


def test_en_rises_by_itself_when_the_lines_stay() -> None:
    lines = ResetLines("cross")
    play(lines, [(False, True), (True, True)])
    assert lines.rising and not lines.held
    assert lines.expire() == [APP]
    assert lines.expire() == []
    assert lines.set(True, False) == [], "too late: the strap was sampled when EN rose"


def test_pulled_low_again_while_rising() -> None:
    lines = ResetLines("cross")
    assert play(lines, [(False, True), (True, True), (False, True)]) == [EN_LOW]
    assert lines.held
    assert lines.set(False, False) == [APP]


def test_boot_button_alone_does_nothing() -> None:
    assert play(ResetLines("cross"), [(True, False), (False, False)]) == []


def test_unknown_wiring() -> None:
    with pytest.raises(BadRequest, match="unknown wiring"):
        ResetLines("twisted")  # type: ignore[arg-type]


@given(st.sampled_from(ALL), st.lists(st.tuples(st.booleans(), st.booleans()), max_size=30))
def test_low_and_rise_alternate(wiring: Wiring, steps: list[tuple[bool, bool]]) -> None:
    lines = ResetLines(wiring)
    kinds = [event.kind for event in play(lines, steps)]
    assert kinds == ["EN_LOW", "EN_RISE"] * (len(kinds) // 2) + ["EN_LOW"] * (len(kinds) % 2)
    assert (len(kinds) % 2 == 1) == (lines.held or lines.rising)
    assert play(lines, [steps[-1]] if steps else []) == [], "setting what is set does nothing"
