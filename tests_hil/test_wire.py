"""What the device reports is what its wires carry."""

import pytest

from harness.analysis.pixels import match_wire

pytestmark = pytest.mark.needs("wire")


def test_reported_pixels_are_on_both_wires(shows):
    for recording in shows:
        match = match_wire(recording)
        assert match.compared > 0.9 * recording.n_frames, "pixels are missing from telemetry"
        assert match.unseen == 0, f"{match.unseen} of {match.compared} reported frames never reached the wire"
        assert match.different == 0, "the wire carries other bytes than reported"
        assert match.strips_differ == 0, "the strips differ"


def test_every_transmission_is_reported(show):
    assert len(show.wire["host_ns"]), f"nothing reached the wire: expected {show.n_frames} transmissions, got none"
    assert abs(len(show.wire["host_ns"]) - show.n_frames) <= 2
