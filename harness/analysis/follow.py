"""How something seen follows something heard: envelopes with a rise and a fall, fitted by least squares.

The hypothesis is what a specification says: a source drives a property by some amount, through one-pole steps with a
time constant for the rise and one for the fall. The fit tells how far it really goes, how fast it really falls, and how
much of the property's changes all this explains.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# What lies between sound and light: hop, spectrum window, frame. Taken as a plain delay, whatever fits best.
DELAYS_S = (0.01, 0.025, 0.05)
# Time constants that are tried, the device's own smoothing included.
RELEASES_S = np.geomspace(0.012, 4.0, 36)
ATTACKS_S = np.array([0.005, 0.02, 0.06, 0.18, 0.5])
# Envelopes are followed frame by frame, but compared with the value at most so often.
COMPARED_HZ = 60.0
HIT = 0.95  # an event's envelope turns round there


class Follow(NamedTuple):
    """What the fit found.

    Attributes:
        base: coefficients of the base columns.
        modulated: coefficients of each source's envelope times each modulation column, by name of the source.
        others: coefficients of the gates that should do nothing, by name.
        attack_s, release_s, delay_s: that fit best.
        explained: share of the variance left by the base that the envelope explains, 0–1.
        n: values behind it.
    """

    base: Floats
    modulated: dict[str, Floats]
    others: dict[str, float]
    attack_s: float
    release_s: float
    delay_s: float
    explained: float
    n: int

    @property
    def driven_by(self) -> dict[str, float]:
        """Coefficient of each source's envelope, in the value's unit per full source."""
        return {name: float(fit[0]) for name, fit in self.modulated.items()}


def one_pole(t_s: Floats, gate: Floats, attack_s: Floats, release_s: Floats) -> Floats:
    """Envelopes of a source, one per pair of time constants: float64[n, k].

    Args:
        t_s: times, float64[n], rising.
        gate: source 0–1 at those times, float64[n].
        attack_s, release_s: float64[k].
    """
    now = np.zeros(attack_s.size)
    out = np.empty((t_s.size, attack_s.size))
    steps = np.diff(t_s, prepend=t_s[0])
    for i, (dt, target) in enumerate(zip(steps, gate, strict=True)):
        tau = np.where(target > now, attack_s, release_s)
        now = now + (target - now) * -np.expm1(-dt / np.maximum(tau, 1e-6))
        out[i] = now
    return out


def struck(t_s: Floats, events_s: Floats, attack_s: Floats, release_s: Floats) -> Floats:
    """Envelopes that events start, which rise to :data:`HIT` and then fall: float64[n, k]."""
    now = np.zeros(attack_s.size)
    rising = np.zeros(attack_s.size, bool)
    out = np.empty((t_s.size, attack_s.size))
    counts = np.searchsorted(events_s, t_s, side="right")
    hits = np.diff(counts, prepend=counts[0]) > 0
    steps = np.diff(t_s, prepend=t_s[0])
    for i, dt in enumerate(steps):
        rising |= hits[i]
        tau = np.where(rising, attack_s, release_s)
        now = now + (rising - now) * -np.expm1(-dt / np.maximum(tau, 1e-6))
        rising &= now < HIT
        out[i] = now
    return out


def fit_gates(
    t_s: Floats,
    value: Floats,
    base: Floats,
    gates: Mapping[str, Floats],
    sources: tuple[str, ...],
    modulation: Floats | None = None,
    *,
    integrate: bool = False,
) -> Follow:
    """Fits a value that follows gates (0–1 sources known from the stimulus).

    Args:
        t_s: times, float64[n].
        value: float64[n], nan where nothing could be seen.
        base: columns that the value has without sound, float64[n, b].
        gates: every source of the stimulus, by name.
        sources: those that drive the value through one envelope; the others are fitted beside, as they are, to show
            that they do nothing.
        modulation: columns that multiply the envelope as they do the base (a swell), float64[n, m]; default a 1.
        integrate: the value is the integral of what is driven (a place, driven by its speed).
    """
    others = tuple(name for name in gates if name not in sources)
    attack, release = (a.ravel() for a in np.meshgrid(ATTACKS_S, RELEASES_S))
    shapes = {name: one_pole(t_s, gates[name], attack, release) for name in sources}
    return _best(t_s, value, base, shapes, {o: gates[o] for o in others}, attack, release, modulation, integrate)


def fit_events(
    t_s: Floats,
    value: Floats,
    base: Floats,
    events_s: Floats,
    modulation: Floats | None = None,
    *,
    integrate: bool = False,
) -> Follow:
    """As :func:`fit_gates`, for a value that events set off."""
    attack, release = (a.ravel() for a in np.meshgrid(ATTACKS_S, RELEASES_S))
    shapes = {"event": struck(t_s, events_s, attack, release)}
    return _best(t_s, value, base, shapes, {}, attack, release, modulation, integrate)


def envelope(t_s: Floats, source: Floats, like: Follow, *, events: bool) -> Floats:
    """The envelope a fit has found, float64[n]: of a gate float64[n], or of the instants of events."""
    attack, release = np.array([like.attack_s]), np.array([like.release_s])
    shape = (struck if events else one_pole)(t_s, source, attack, release)[:, 0]
    return _late(t_s, shape, like.delay_s)


def _best(
    t_s: Floats,
    value: Floats,
    base: Floats,
    shapes: Mapping[str, Floats],
    others: Mapping[str, Floats],
    attack: Floats,
    release: Floats,
    modulation: Floats | None,
    integrate: bool,
) -> Follow:
    modulation = np.ones((t_s.size, 1)) if modulation is None else modulation
    known = ~np.isnan(value)
    known[np.arange(value.size) % max(1, round((value.size - 1) / (t_s[-1] - t_s[0]) / COMPARED_HZ)) != 0] = False
    value = value[known]
    if value.size <= base.shape[1] + len(shapes) * modulation.shape[1] + len(others):
        raise ValueError(f"only {value.size} frames show anything")
    plain = _residual(base[known], value)[1]
    found: Follow | None = None
    least = np.inf
    for delay_s in DELAYS_S:
        aside = [_summed(t_s, _late(t_s, gate, delay_s), integrate)[known] for gate in others.values()]
        moved = {name: _late(t_s, shape, delay_s) for name, shape in shapes.items()}
        for k in range(attack.size if shapes else 1):
            columns = [(_summed(t_s, moved[name][:, k], integrate)[:, None] * modulation)[known] for name in shapes]
            fit, left = _residual(np.column_stack([base[known], *columns, *aside]), value)
            if left < least:
                least = left
                found = _told(fit, base.shape[1], modulation.shape[1], tuple(shapes), tuple(others),
                              attack[k], release[k], delay_s, 1.0 - left / max(plain, 1e-12), value.size)  # fmt: skip
    assert found is not None
    return found


def _told(
    fit: Floats, b: int, m: int, names: tuple[str, ...], others: tuple[str, ...], attack_s: float, release_s: float,
    delay_s: float, explained: float, n: int,
) -> Follow:  # fmt: skip
    modulated = {name: fit[b + i * m : b + (i + 1) * m] for i, name in enumerate(names)}
    aside = {name: float(c) for name, c in zip(others, fit[b + len(names) * m :], strict=True)}
    return Follow(fit[:b], modulated, aside, float(attack_s), float(release_s), delay_s, explained, n)


def _late(t_s: Floats, shape: Floats, delay_s: float) -> Floats:
    """The same, later."""
    at = np.searchsorted(t_s, t_s - delay_s, side="right") - 1
    late = shape[np.maximum(at, 0)].copy()
    late[at < 0] = 0.0
    return late


def _summed(t_s: Floats, column: Floats, integrate: bool) -> Floats:
    return np.cumsum(column * np.diff(t_s, prepend=t_s[0])) if integrate else column


def _residual(matrix: Floats, value: Floats) -> tuple[Floats, float]:
    """Least squares through the normal equations (columns are few and tame); coefficients and mean squared rest."""
    normal = matrix.T @ matrix
    normal[np.diag_indices_from(normal)] += 1e-9 * max(1.0, float(np.trace(normal)))
    fit = np.linalg.solve(normal, matrix.T @ value)
    rest = value - matrix @ fit
    return np.asarray(fit), float(rest @ rest) / max(1, value.size)
