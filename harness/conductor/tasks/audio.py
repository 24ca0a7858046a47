"""An uploaded piece of music: is it usable, what is in it, and which parameters follow it better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.conductor.outcome import Outcome, completed
from harness.conductor.tasks.spec import Context, name, names, number, sha256
from harness.errors import BadRequest

DEFAULT_PATTERNS = ("pulse",)


def audio_validate(inputs: Mapping[str, Any], context: Context) -> Outcome:
    """``k1_audio_validate``: format, length, level, clipping, silence. An unusable clip is a verdict."""
    from harness.pipeline.tuning.clips import ClipRefused, problem_json

    try:
        clip = _clip(inputs, context)
    except ClipRefused as refused:
        return completed({"problems": problem_json(refused)}, "fail", refused.message)
    return completed({
        "problems": [], "seconds": round(clip.music.seconds, 3), "rate_hz": clip.sound.rate_hz, "channels": 1,
        "clip_sha256": clip.sha256,
    })  # fmt: skip


def audio_analyse(inputs: Mapping[str, Any], context: Context) -> Outcome:
    """``k1_audio_analyse``: tempo with its alternatives, spectrum, dynamics, onsets."""
    music = _clip(inputs, context).music
    told = music.to_json()
    tempo = told["tempo"] or {}
    return completed({
        "music": told, "tempo_bpm": tempo.get("bpm"), "tempo_alternatives": tempo.get("alternatives", []),
        "onset_rate_hz": told["onsets"]["rate_hz"], "dynamics_db": told["dynamics"]["range_db"],
    })  # fmt: skip


def audio_tune(inputs: Mapping[str, Any], context: Context) -> Outcome:
    """``k1_audio_tune``: parameters for patterns, kept only where they beat the defaults on music not tuned with.

    The virtual bench plays the clip to the firmware built here; what proves a setting is the harness's own music.
    """
    from harness.pipeline.build import build
    from harness.pipeline.tuning.clips import house_clips
    from harness.pipeline.tuning.tune import Plan, store_result, tune
    from harness.rig import open_rig

    clip = _clip(inputs, context)
    patterns = names(inputs, "patterns") or list(DEFAULT_PATTERNS)
    plan = Plan(levels=round(number(inputs, "levels", 3, 2, 16)), tuning_each=round(number(inputs, "trials", 4, 1, 16)))
    bundle = build("sim", tell=print)
    with open_rig("sim", context.rig_dir, folder=context.folder / "rig", owner=f"workflow {context.workflow}") as rig:
        rig.flash(bundle)
        result = tune(rig, patterns, [clip], house_clips(), plan, tell=context.tell)
    kept = store_result(context.firmware.store, "", result)  # named by its content: a second attempt is another one
    found = result["patterns"]
    better = [p for p in patterns if found[p]["better"]]
    why = "" if better else "; ".join(f"{p}: {found[p]['why']}" for p in patterns)
    gains = {p: {"params": found[p]["params"], "why": found[p]["why"]} for p in patterns}
    # That the defaults are best is a result, not a fault.
    return completed({"tuning": kept.name, "better": better, "gains": gains}, "pass", why)


def _clip(inputs: Mapping[str, Any], context: Context) -> Any:
    """The uploaded clip, which must be the file that was uploaded."""
    from harness.pipeline.tuning.clips import clip_from_store

    store, chosen = context.firmware.store, name(inputs, "audio").removeprefix("tuning/")
    wanted = sha256(inputs, "audio_sha256", "")
    stored = store.get("tuning", chosen)
    if wanted and stored.sha256 != wanted:
        raise BadRequest(f"'{chosen}' is another file than was uploaded", expected=wanted, got=stored.sha256)
    return clip_from_store(store, chosen)
