"""Tunes named patterns on a rig and proves the result on other clips; keeps it in the artifact store; applies it."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from harness.analysis.pixels import light, shown
from harness.analysis.reactivity import reaction
from harness.errors import BadRequest, DutFailure, HarnessFault, RigFault
from harness.pipeline.artifacts import Artifact, ArtifactStore, now
from harness.pipeline.process import Cancelled
from harness.pipeline.tuning.clips import Clip, refuse_twins
from harness.pipeline.tuning.search import LEVELS, Bound, Look, Params, Proof, Proposal, prove, search
from harness.pipeline.tuning.trials import FLOOR, SEGMENT_S, SEGMENTS, TRIAL_S, Trial, trials
from harness.rig.rig import Rig

Tell = Callable[[str], None]
# What changes how a pattern answers sound. What it looks like otherwise (colour, place) is the owner's taste.
TUNABLE = (
    "audio_responsiveness", "audio_sensitivity", "bass_treble_balance", "beat_squash_power", "beat_threshold",
    "brightness_floor", "color_reactivity", "custom_param_1", "custom_param_2", "custom_param_3", "softness", "speed",
)  # fmt: skip
MAX_PATTERNS, MAX_CLIPS, MAX_EACH = 16, 16, 16
SCHEMA = 1
_SETTLE_S = 0.25
_SHUFFLES = 1  # the strength is wanted, not the chance of it


@dataclass(frozen=True)
class Plan:
    """How thoroughly to tune.

    Attributes:
        params: names that may change, default :data:`TUNABLE`.
        levels: values tried of each parameter, 2–16.
        tuning_each, proving_each: trials of each clip in the search and in the proof; at least 4 pairs prove.
        seed: of the trials' orders.
    """

    params: tuple[str, ...] = TUNABLE
    levels: int = LEVELS
    tuning_each: int = 4
    proving_each: int = 4
    seed: int = 1

    def __post_init__(self) -> None:
        unknown = [name for name in self.params if name not in TUNABLE]
        if unknown or not self.params:
            raise BadRequest(
                f"cannot tune {', '.join(unknown) or 'nothing'}", expected=", ".join(TUNABLE),
                remedy="other parameters set the look, not the answer to sound",
            )  # fmt: skip
        if not (2 <= self.levels <= 16 and 1 <= self.tuning_each <= MAX_EACH and 1 <= self.proving_each <= MAX_EACH):
            raise BadRequest(
                "unusable plan", expected=f"2 to 16 levels, 1 to {MAX_EACH} trials a clip",
                got=f"{self.levels} levels, {self.tuning_each} and {self.proving_each} trials",
            )  # fmt: skip


@dataclass(frozen=True)
class Tuned:
    """One pattern's result. ``params`` is empty when the defaults stay: nothing found, or nothing proven."""

    pattern: str
    params: dict[str, float]
    proposal: Proposal
    proof: Proof | None
    why: str

    @property
    def better(self) -> bool:
        """The parameters beat the defaults on clips that were not tuned with."""
        return bool(self.params)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        proof = None
        if self.proof is not None:
            proof = {k: round(v, 4) if isinstance(v, float) else v for k, v in self.proof._asdict().items()}
            proof["by_clip"] = {k: round(v, 4) for k, v in self.proof.by_clip.items()}
        return {"params": self.params, "better": self.better, "why": self.why, "proof": proof,
                "proposal": asdict(self.proposal)}  # fmt: skip


def tune(
    rig: Rig, patterns: Sequence[str], clips: Sequence[Clip], held_out: Sequence[Clip], plan: Plan | None = None, *,
    tell: Tell = lambda _: None, cancel: threading.Event | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Finds parameters for each pattern on ``clips`` and keeps those that beat the defaults on ``held_out``.

    The device ends with its default parameters.

    Args:
        rig: flashed and booted, with sound and with light to be seen.
        patterns: ids of patterns that react to sound.
        plan: default :class:`Plan`.
        tell: gets a line per step.
        cancel: ends it between two recordings when set.

    Returns:
        The result as :func:`store_result` keeps it: ``patterns`` by id, ``clips``, rig, firmware, design.

    Raises:
        BadRequest: unknown or deaf pattern, no clips, a clip on both sides.
        RigFault, DutFailure: as of recordings.
        Cancelled: ``cancel`` was set.
    """
    plan = plan or Plan()
    _check(patterns, clips, held_out, plan)
    _check_patterns(rig, patterns)
    bounds = device_bounds(rig, plan.params)
    tuning, proving = trials(clips, plan.tuning_each, plan.seed), trials(held_out, plan.proving_each, plan.seed + 1)
    found: dict[str, Any] = {}
    recorder = _Recorder(rig, cancel)
    try:
        for pattern in patterns:
            tell(f"{pattern}: up to {plan.levels * len(bounds)} settings race over {len(tuning)} trials")
            tuned = _tune_one(recorder, pattern, tuning, proving, bounds, plan, tell)
            found[pattern] = tuned.to_json()
            tell(f"{pattern}: {tuned.why}")
    finally:
        recorder.restore()
    return {
        "schema": SCHEMA, "created": now(), "rig": rig.name, "provenance": rig.provenance, "rig_seed": rig.seed,
        "cost_model": rig.cost_model, "firmware": rig.identity.to_json(), "recordings": recorder.count,
        "design": {"segments": SEGMENTS, "segment_s": SEGMENT_S, "floor": FLOOR, "trial_s": TRIAL_S,
                   **asdict(plan), "params": list(plan.params)},
        "clips": {"tuning": [c.to_json() for c in clips], "held_out": [c.to_json() for c in held_out]},
        "patterns": found,
    }  # fmt: skip


def store_result(store: ArtifactStore, name: str, result: Mapping[str, Any]) -> Artifact:
    """Keeps a result as ``tuning/NAME``, without a name as ``tuning/tuned-`` and the first of its SHA-256.

    Raises:
        BadRequest: another result has this name.
        RigFault: the store cannot be written.
    """
    params = {p: r["params"] for p, r in result["patterns"].items()}
    data = json.dumps(result, indent=1, sort_keys=True).encode()
    name = name or f"tuned-{hashlib.sha256(data).hexdigest()[:12]}"
    return store.put_bytes("tuning", name, data, ".json", {"role": "result", "rig": result["rig"], "patterns": params})


def apply(rig: Rig, result: Mapping[str, Any], pattern: str) -> dict[str, float]:
    """Selects a pattern and sets its tuned parameters over the device's API; what the device took.

    The device forgets them when it restarts.

    Raises:
        BadRequest: no such pattern in the result, or nothing that makes sense.
        DutFailure: the device took other values.
    """
    entry = (result.get("patterns") or {}).get(pattern) if isinstance(result.get("patterns"), dict) else None
    params = entry.get("params") if isinstance(entry, dict) else None
    if not isinstance(params, dict):
        raise BadRequest(f"no tuning of '{pattern}' in this result", remedy="k1hil tune run --pattern …")
    for name, value in params.items():
        if name not in TUNABLE or isinstance(value, bool) or not isinstance(value, (int, float)):
            raise BadRequest(f"unusable parameter {str(name)[:40]!r} in this result", expected=", ".join(TUNABLE))
    rig.api.select(pattern)
    rig.api.reset_params()
    if not params:
        return {}
    told = rig.api.set_params(**params)
    for name, value in params.items():
        if not isinstance(told.get(name), (int, float)) or abs(float(told[name]) - value) > 1e-4:
            raise DutFailure(f"the device did not take {name}", expected=f"{value:g}", got=str(told.get(name)))
    return {name: float(told[name]) for name in params}


def device_bounds(rig: Rig, names: Sequence[str]) -> dict[str, Bound]:
    """Ranges and defaults of parameters, from the device.

    Raises:
        DutFailure: it does not tell them.
    """
    told = rig.api.get("/api/params/bounds")
    bounds = {}
    for name in names:
        try:
            entry = told[name]
            bounds[name] = Bound(*(float(entry[key]) for key in ("min", "max", "default", "step")))
        except (KeyError, TypeError, ValueError) as error:
            raise DutFailure(
                f"the device does not tell the range of {name}", expected="min, max, default and step",
                got=str(told)[:120], evidence="GET /api/params/bounds",
            ) from error  # fmt: skip
    return bounds


class _Recorder:
    """Plays trials and looks at the light; knows which parameters are not at their default."""

    def __init__(self, rig: Rig, cancel: threading.Event | None) -> None:
        self._rig = rig
        self._cancel = cancel
        self._set: dict[str, float] = {}
        self.count = 0

    def look(self, pattern: str, params: Params, trial: Trial) -> Look:
        if self._cancel is not None and self._cancel.is_set():
            raise Cancelled("the tuning was cancelled", evidence=f"after {self.count} recordings")
        self._apply(params)
        wire = "wire" in self._rig.capabilities
        streams = ("frames", "wire") if wire else ("frames", "pixels")
        recording = self._rig.record(trial.sound, trial.sound.seconds, streams, pattern, settle_s=_SETTLE_S)
        self.count += 1
        try:
            answer = reaction(recording, shuffles=_SHUFFLES)
        except ValueError as error:
            raise RigFault(f"'{pattern}' could not be judged", got=str(error), remedy="k1hil rig check") from error
        rgb = shown(recording)[1]
        lit = rgb > 0
        blown = float((rgb == 255).sum() / max(1, int(lit.sum())))
        return Look(answer.strength, float(light(rgb).mean()), blown)

    def restore(self) -> None:
        self._rig.telemetry.command("reset")
        self._set = {}

    def _apply(self, params: Params) -> None:
        if params == self._set and self.count:
            return
        self.restore()
        for name, value in params.items():
            taken = self._rig.telemetry.param(name, value)
            if abs(taken - value) > 1e-3:
                raise DutFailure(f"the device did not take {name}", expected=f"{value:g}", got=f"{taken:g}")
        self._set = dict(params)


def _tune_one(
    recorder: _Recorder, pattern: str, tuning: Sequence[Trial], proving: Sequence[Trial], bounds: Mapping[str, Bound],
    plan: Plan, tell: Tell,
) -> Tuned:  # fmt: skip
    def look(params: Params, trial: Trial) -> Look:
        return recorder.look(pattern, params, trial)

    proposal = search(look, tuning, bounds, count=plan.levels, tell=lambda text: tell(f"{pattern}: {text}"))
    if not proposal.params:
        return Tuned(pattern, {}, proposal, None, "defaults stay: no setting gained on the clips tuned with")
    proof = prove(look, proving, lambda t: t.clip, proposal.params)
    if not np.isfinite(proof.gain):
        raise HarnessFault("a proof without a number", got=str(proof))
    numbers = (
        f"{proof.default:.3f} to {proof.tuned:.3f}, gain {proof.gain:+.3f} ({proof.low:+.3f} … {proof.high:+.3f}, "
        f"95 %, {proof.pairs} pairs)"
    )
    if proof.better:
        return Tuned(pattern, dict(proposal.params), proposal, proof, f"better than the defaults: {numbers}")
    return Tuned(pattern, {}, proposal, proof, f"defaults stay: {proof.why}: {numbers}")


def _check(patterns: Sequence[str], clips: Sequence[Clip], held_out: Sequence[Clip], plan: Plan) -> None:
    if not 1 <= len(patterns) <= MAX_PATTERNS or len(set(patterns)) != len(patterns):
        raise BadRequest("name each pattern once", expected=f"1 to {MAX_PATTERNS}", got=", ".join(patterns) or "none")
    if not (1 <= len(clips) <= MAX_CLIPS and 1 <= len(held_out) <= MAX_CLIPS):
        raise BadRequest(
            "clips to tune with and others to prove it with are needed", expected=f"1 to {MAX_CLIPS} of each",
            got=f"{len(clips)} and {len(held_out)}",
        )  # fmt: skip
    names = [c.name for c in (*clips, *held_out)]
    if len(set(names)) != len(names):
        raise BadRequest("two clips have one name", got=", ".join(sorted(names)), remedy="rename one of the files")
    refuse_twins(clips, held_out)
    if len(held_out) * plan.proving_each < 4:
        raise BadRequest(
            "too few trials to prove anything", expected="at least 4 pairs", got=str(len(held_out) * plan.proving_each)
        )


def _check_patterns(rig: Rig, patterns: Sequence[str]) -> None:
    known = {str(p.get("id")): p for p in rig.api.patterns()}
    for name in patterns:
        if name not in known:
            raise BadRequest(f"the device has no pattern '{name}'", expected=", ".join(known))
        if not known[name].get("audio_reactive") or known[name].get("raw"):
            raise BadRequest(
                f"'{name}' cannot be tuned", got="it does not react to sound, or is a test pattern",
                expected=", ".join(k for k, p in known.items() if p.get("audio_reactive") and not p.get("raw")),
            )  # fmt: skip
