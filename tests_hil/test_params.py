"""Parameters: what is set is what is there, within its limits, on both ways in."""

import pytest

from harness.instruments.telemetry import CommandRefused

pytestmark = pytest.mark.needs("api")


def value_inside(bound, share=0.4):
    """A value inside the limits that is not the default."""
    low, high, default = bound["min"], bound["max"], bound["default"]
    value = low + share * (high - low)
    if bound["kind"] == "integer":
        value = round(value)
    if bound["kind"] == "flag":
        value = 0.0 if default >= 0.5 else 1.0
    return value


def values_apart(bounds):
    """One value for each, no two at the same place of their range: a parameter that writes another's place shows."""
    return {name: value_inside(bound, 0.35 + 0.005 * k) for k, (name, bound) in enumerate(sorted(bounds.items()))}


def as_number(value):
    return float(value)


def test_round_trip_of_every_parameter(rig, param):
    bounds = rig.api.get("/api/params/bounds")
    wanted = values_apart(bounds)
    sent = {n: bool(v) if bounds[n]["kind"] == "flag" else v for n, v in wanted.items()}
    param.touched = True
    echoed = rig.api.set_params(**sent)
    read = rig.api.params()
    assert len(echoed) == len(bounds) >= 20
    for name, value in wanted.items():
        assert as_number(echoed[name]) == pytest.approx(value, abs=1e-5), f"{name} is echoed wrong"
        assert as_number(read[name]) == pytest.approx(value, abs=1e-5), f"{name} reads wrong"


def test_console_and_api_set_the_same_parameters(rig, param):
    bounds = rig.api.get("/api/params/bounds")
    wanted = values_apart(bounds)
    for name, value in wanted.items():
        assert param(**{name: value})[name] == pytest.approx(value, abs=1e-5)
    read = rig.api.params()
    for name, value in wanted.items():
        assert as_number(read[name]) == pytest.approx(value, abs=1e-5), name


def test_values_beyond_the_limits_are_clamped(rig, param):
    bounds = rig.api.get("/api/params/bounds")
    param.touched = True
    high = rig.api.set_params(brightness=99, frame_min_period_ms=1000, audio_sensitivity=-7)
    assert high["brightness"] == bounds["brightness"]["max"] == 1.0
    assert high["frame_min_period_ms"] == bounds["frame_min_period_ms"]["max"] == 20.0
    assert high["audio_sensitivity"] == pytest.approx(bounds["audio_sensitivity"]["min"])
    assert rig.api.set_params(palette_id=33)["palette_id"] == 0


def test_reset_restores_the_defaults(rig, param):
    bounds = rig.api.get("/api/params/bounds")
    param(brightness=0.1, speed=0.9, color=0.7)
    restored = rig.api.reset_params()
    for name, bound in bounds.items():
        assert as_number(restored[name]) == pytest.approx(bound["default"], abs=1e-5), name


def test_a_refused_parameter_changes_nothing(rig):
    before = rig.api.params()
    with pytest.raises(CommandRefused):
        rig.telemetry.param("no_such", 1)
    assert rig.api.params() == before
