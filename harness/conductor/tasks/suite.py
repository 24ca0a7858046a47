"""The suite on a device or on a virtual board, and what its reports say together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.conductor.outcome import Outcome, completed, of_suite, refused
from harness.conductor.tasks.spec import Context, either, flag, name, sha256, text
from harness.errors import BadRequest

SIM = "sim"
SUITE_LIMIT_S = 7000.0


def suite(inputs: Mapping[str, Any], context: Context) -> Outcome:
    """``k1_suite``: tests what runs on the device, which must be the expected image before and after."""
    from harness.pipeline.deploy_steps import prove_image
    from harness.pipeline.suite_run import run_suite

    expected, store = sha256(inputs, "expected_sha256"), context.firmware
    artifact = store.find(expected)
    with context.open_rig() as rig:
        prove_image(rig, expected)
    with context.scratch() as work:
        firmware = store.load(artifact, work / "firmware").path if artifact is not None else None
        ran = run_suite(
            context.rig, context.rig_dir, context.folder / "reports", firmware=firmware,
            select=text(inputs, "select", "", 1000), profile=name(inputs, "profile", "quick"),
            require=text(inputs, "require", "", 100), baseline=flag(inputs, "baseline", True),
            timeout_s=SUITE_LIMIT_S, tell=context.tell,
        )  # fmt: skip
    if ran.document and ran.sha256 != expected:
        return refused(f"the device ran {ran.sha256 or 'an unknown image'} during the suite, not {expected}")
    return _told(ran, f"suite-{context.short_key}", context)


def integration(inputs: Mapping[str, Any], context: Context) -> Outcome:
    """``k1_integration``: the suite with a stored image on a virtual board made for it; no rig is needed."""
    from harness.pipeline.deploy_steps import stored
    from harness.pipeline.suite_run import run_suite

    store = context.firmware
    artifact = stored(store, name(either(inputs, "firmware", "name"), "firmware"),
                      sha256(either(inputs, "expected_sha256", "sha256"), "expected_sha256", ""))  # fmt: skip
    with context.scratch() as work:
        bundle = store.load(artifact, work / "firmware")
        if not bundle.is_sim:
            raise BadRequest(f"'{artifact.name}' is not built for the virtual board", got=bundle.project)
        ran = run_suite(
            SIM, context.rig_dir, context.folder / "reports", firmware=bundle.path, flash=True,
            select=text(inputs, "select", "", 1000), profile=name(inputs, "profile", "quick"),
            timeout_s=SUITE_LIMIT_S, tell=context.tell,
        )  # fmt: skip
    return _told(ran, f"integration-{context.short_key}", context)


def nightly(inputs: Mapping[str, Any], context: Context) -> Outcome:
    """``k1_nightly``: ``k1hil nightly`` on this rig, of what its device runs: the firmware named, or whichever it is.

    Nothing is built and nothing flashed, but for a virtual board that is made for the run. All nights of a worker are
    one history.
    """
    from harness.baseline.history import ENV, NAME
    from harness.pipeline.nightly import nightly as run

    profile, store = name(inputs, "profile", "nightly"), context.firmware
    expected, made = _image_of_the_night(sha256(inputs, "expected_sha256", ""), context)
    artifact = store.find(expected) if expected else None
    if expected and artifact is None:
        raise BadRequest("the store does not have what the device runs, so nobody knows its patterns", got=expected,
                         evidence=store.store.url, remedy="deploy a stored firmware: k1hil deploy")  # fmt: skip
    with context.scratch() as work:
        firmware = store.load(artifact, work / "firmware").path if artifact is not None else None
        night = run(
            context.rig, context.rig_dir, wait_s=0.0, profile=profile, reports=context.folder / "reports",
            firmware=firmware, flash=made, tell=context.tell,
            history=Path(os.environ.get(ENV) or context.folder.parents[1] / NAME),
        )  # fmt: skip
    if night.run is not None and expected and night.image != expected:
        return refused(f"the device ran {night.image or 'an unknown image'} in the night, not {expected}")
    status, verdict = of_suite(night.exit_code)
    output: dict[str, Any] = {"exit_code": night.exit_code, "sha256": night.image, "report": "", "trend": ""}
    if night.run is not None:
        output["report"] = _keep(night.run, f"nightly-{context.short_key}", context)
    if night.trend is not None:
        output["trend"] = _keep(night.trend, f"trend-{context.short_key}", context)
    why = "" if verdict == "pass" else f"the night ended with exit code {night.exit_code}"
    return Outcome(status, {"verdict": verdict, "why": why, **output}, "" if status == "COMPLETED" else why)


def _image_of_the_night(expected: str, context: Context) -> tuple[str, bool]:
    """Which image is tested, and whether its board is made for it; "" where no firmware says what it is.

    Raises:
        BadRequest: the device runs another image, or there is no device and no image is named.
        DutFailure: it does not answer.
    """
    from harness.pipeline.deploy_steps import prove_image
    from harness.rig.config import load_config

    config = load_config(context.rig, context.rig_dir)
    if not config.dut.sentences:
        if expected:
            raise BadRequest(f"rig '{context.rig}': its firmware does not say what it is", expected=expected)
        return "", False
    if config.kind == "virtual":
        if not expected:
            raise BadRequest(f"rig '{context.rig}' has no device of its own", remedy="name a firmware: expected_sha256")
        return expected, True
    with context.open_rig() as rig:
        identity = rig.probe()
        return prove_image(rig, expected or (identity.sha256 if identity is not None else "")), False


def _told(ran: Any, report: str, context: Context) -> Outcome:
    """A run of the suite as an outcome; its folder goes into the store, whatever it ended with."""
    status, verdict = of_suite(ran.exit_code)
    output: dict[str, Any] = {
        "exit_code": ran.exit_code, "word": ran.document.get("verdict", ""), "counts": ran.counts, **ran.counts,
        "verdicts": ran.verdicts, "failed_tests": ran.failed, "sha256": ran.sha256, "report": "",
        "seed": ran.document.get("seed"), "seconds": ran.document.get("seconds", 0.0),
    }  # fmt: skip
    if ran.folder is not None:
        output["report"] = _keep(ran.folder, report, context)
    why = _why(ran)
    if status == "COMPLETED":
        return completed(output, verdict, "" if verdict == "pass" else why)
    return Outcome(status, {"verdict": "", "why": why, **completed(output).output, "blame": "rig"}, why[:480])


def _keep(made: Path, report: str, context: Context) -> str:
    """A run's folder, or a page, in the store; an attempt after a failed one has a name of its own."""
    reports = context.firmware.store
    chosen, attempt = report, 1
    while reports.find("reports", chosen) is not None:
        attempt += 1
        chosen = f"{report}-{attempt}"
    return reports.put("reports", chosen, made).name


def _why(ran: Any) -> str:
    if ran.failed:
        return "; ".join(ran.failed[:3])
    notes = ran.document.get("notes") or []
    return str(notes[0]) if notes else f"the suite ended with {ran.exit_code}: {' '.join(ran.tail.split())[-300:]}"


def compare(inputs: Mapping[str, Any], context: Context) -> Outcome:
    """``k1_compare``: what the rig's baseline says of several stored runs together, and their rules where it is silent.

    Nothing compared and nothing tested is ``inconclusive``: silence is no consent.
    """
    from harness.pipeline.stored_reports import compare as gather

    found = gather(context.firmware.store, _reports(inputs))
    output = {
        **found.counts, "open": found.open, "compared": found.compared, "judged_by_rules": found.tests["passed"],
        "tests": found.tests, "comparisons": found.named, "regressions": found.named,
    }  # fmt: skip
    return completed(output, found.verdict, found.why)


def report(inputs: Mapping[str, Any], context: Context) -> Outcome:
    """``k1_report``: one report of several stored runs and verdicts; passes only if all of them do."""
    from harness.pipeline.stored_reports import gather

    given = inputs.get("verdicts") or inputs.get("results")
    verdicts = {str(k)[:60]: str(v)[:60] for k, v in dict(given or {}).items()}
    chosen = f"{name(either(inputs, 'name', 'title'), 'name', 'report')[:60].replace('/', '-')}-{context.short_key}"
    made = gather(context.firmware.store, chosen, _reports(inputs), {"workflow": context.root, **verdicts})
    bad = [f"{k}: {v or 'none'}" for k, v in verdicts.items() if v != "pass"]
    passed = bool(verdicts) and not bad
    return completed({"report": made.name}, "pass" if passed else "fail", "; ".join(bad))


def _reports(inputs: Mapping[str, Any]) -> dict[str, str]:
    value = inputs.get("reports") or ({"run": inputs["report"]} if inputs.get("report") else None)
    if not isinstance(value, Mapping) or not 1 <= len(value) <= 20:
        raise BadRequest("the input 'reports' is unusable", expected="1 to 20 names by part", got=repr(value)[:80])
    named = {name({"part": str(k)}, "part"): v for k, v in value.items() if v not in (None, "")}
    return {part: name({"report": v}, "report") for part, v in named.items()}
