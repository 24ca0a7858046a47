"""From a commit to the store: validate, clean, compile, metrics, store. They share a folder on the build worker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from harness.conductor.outcome import Outcome, completed
from harness.conductor.tasks.spec import Context, either, flag, name, names, number, sha256, text
from harness.errors import BadRequest


def checkout_validate(inputs: Mapping[str, Any], context: Context) -> Outcome:
    """``k1_checkout_validate``: a tidy commit of an allow-listed repository, on the branch it is said to be on?"""
    from harness.pipeline.commit_steps import validate_commit

    repo, commit = name(inputs, "repo"), text(inputs, "commit_sha", limit=40)
    context.tell(f"{repo} {commit} by {text(inputs, 'author', 'nobody named', 200)}")
    gates = validate_commit(repo, commit, name(inputs, "branch", ""), name(inputs, "project", "firmware"))
    return _judged(gates, {"repo": repo, "commit_sha": commit})


def clean(inputs: Mapping[str, Any], context: Context) -> Outcome:
    """``k1_clean``: a fresh worktree with nothing built in it."""
    from harness.pipeline.commit_steps import clean as run

    gates = run(name(inputs, "repo"), text(inputs, "commit_sha", limit=40), context.build_folder,
                name(inputs, "project", "firmware"))  # fmt: skip
    return _gone_unless_good(_judged(gates, {}), context)


def compile_(inputs: Mapping[str, Any], context: Context) -> Outcome:
    """``k1_compile``: builds every environment of the commit, or with a generated pattern the one that ships.

    A compiler error is a verdict, in any of them. One whose platform is absent here was not built and so did not pass;
    that is red for ``environment`` and ``also``, which somebody wants to run.
    """
    from harness.pipeline.commit_steps import compile_commit

    environment = name(inputs, "environment", "sim")
    wanted = list(dict.fromkeys([environment, name(inputs, "also", "") or environment]))
    chosen = names(inputs, "environments", 10)
    environments = [*wanted, *(e for e in chosen if e not in wanted)] if chosen else []
    project, pattern = name(inputs, "project", "firmware"), name(inputs, "pattern", "")
    if pattern:
        from harness.conductor.tasks.patterns import compile_pattern

        record = compile_pattern(context, pattern, environment)
    else:
        record = compile_commit(context.build_folder, environments, project, tell=_compiler_lines(context))
    told = record["environments"]
    unknown = [e for e in wanted if e not in told]
    if unknown:
        raise BadRequest(f"unknown environment '{unknown[0]}'", expected=", ".join(told))
    main, also = told[environment], told[wanted[-1]]
    bad = [f"{e}: {t['why']}" for e, t in told.items() if t["status"] == "failed"
           or (t["status"] == "unavailable" and e in wanted)]  # fmt: skip
    output = {
        "build": environment, "environment": environment, "sha256": main.get("sha256", ""),
        "version": main.get("version", ""), "commit": main.get("commit", ""), "warnings": main.get("warnings"),
        "seconds": record["seconds"], "also_sha256": also.get("sha256", ""),
        "environments": {e: {k: t.get(k) for k in ("status", "why", "sha256", "seconds")} for e, t in told.items()},
    }  # fmt: skip
    return _gone_unless_good(completed(output, "fail" if bad else "pass", "; ".join(bad)), context)


def metrics(inputs: Mapping[str, Any], context: Context) -> Outcome:
    """``k1_metrics``: warnings, flash, RAM and identity of the build against their limits.

    Of the environment that ships, what nobody measured is ``inconclusive``, and so no ``pass``; of all others that were
    built, what was measured has to be well.
    """
    from harness.pipeline.commit_steps import JUDGED, built_environments, judge
    from harness.pipeline.validate import Limits

    environment = name(either(inputs, "environment", "build"), "environment", "sim")
    given = either(either(inputs, "flash_percent", "flash_limit"), "ram_percent", "ram_limit")
    limits = Limits(
        number(given, "flash_percent", 70.0, 1.0, 100.0), number(given, "ram_percent", 70.0, 1.0, 100.0),
        round(number(given, "warnings", 0.0, 0.0, 1e6)),
    )  # fmt: skip
    gates = judge(context.build_folder, environment, limits)
    others = [g for e in built_environments(context.build_folder) if e != environment
              for g in judge(context.build_folder, e, limits)]  # fmt: skip
    figures = {e: _figures(g for g in (*gates, *others) if g.environment == e) for e in
               (environment, *dict.fromkeys(g.environment for g in others))}  # fmt: skip
    judged = _judged([*gates, *others], {**figures[environment], "environments": figures}, JUDGED)
    return _gone_unless_good(judged, context)


def store(inputs: Mapping[str, Any], context: Context) -> Outcome:
    """``k1_store``: the build into the store, and its pattern with it; the work folder is gone afterwards, unless
    another build in it is still to be stored (``keep``)."""
    from harness.conductor.tasks.patterns import store_pattern
    from harness.pipeline.checkout import drop_folder
    from harness.pipeline.commit_steps import store_build
    from harness.pipeline.firmware_store import image_sha256

    tag = name(inputs, "tag", "")
    environment = name(either(inputs, "environment", "build"), "environment", "sim")
    artifact = store_build(context.build_folder, environment, context.firmware, sha256(inputs, "sha256", ""), tag)
    pattern = store_pattern(context, environment, artifact.name)
    if not flag(inputs, "keep", False):
        drop_folder(context.build_folder)
    context.tell(f"stored as {artifact.name}")
    return completed({
        "name": artifact.name, "firmware": artifact.name, "file": artifact.file, "tag": tag,
        "sha256": image_sha256(artifact), "pattern": pattern,
        "version": artifact.details.get("version", ""), "commit": artifact.details.get("commit", ""),
    })  # fmt: skip


def _figures(gates: Iterable[Any]) -> dict[str, Any]:
    values = {g.name: g.value for g in gates}
    return {"flash_percent": values.get("flash"), "ram_percent": values.get("ram"), "warnings": values.get("warnings")}


def _gone_unless_good(outcome: Outcome, context: Context) -> Outcome:
    """No step comes after a red one: nobody else would remove the commit's folder."""
    from harness.pipeline.checkout import drop_folder

    if outcome.output["verdict"] != "pass":
        drop_folder(context.build_folder)
    return outcome


def _judged(gates: Sequence[Any], output: Mapping[str, Any], needed: Sequence[str] = ()) -> Outcome:
    """Red as soon as one gate is; without an answer where a needed one was not tried."""
    main = gates[0].environment if gates else ""
    bad = [f"{g.name}{f' of {g.environment}' if g.environment != main else ''}: {g.got}"
           for g in gates if g.status == "failed"]  # fmt: skip
    tried = {g.name: g for g in gates if g.environment == main}
    open_ = [f"{n}: not measured, {tried[n].got if n in tried else 'no such gate ran'}" for n in needed
             if n not in tried or tried[n].status == "unavailable"]  # fmt: skip
    verdict = "fail" if bad else "inconclusive" if open_ else "pass"
    return completed({**output, "gates": [asdict(g) for g in gates]}, verdict, "; ".join([*bad, *open_]))


def _compiler_lines(context: Context) -> Any:
    """Errors, warnings and results go into the task's log; the rest is in the worker's own file."""

    def tell(line: str) -> None:
        if any(word in line for word in (" error", "error:", "warning:", "SUCCESS", "FAILED", "Flash:", "RAM:")):
            context.tell(line)
        else:
            print(line)

    return tell
