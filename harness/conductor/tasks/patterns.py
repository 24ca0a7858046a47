"""A pattern from its specification: checked and kept, then compiled into the firmware of a commit."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any

from harness.conductor.outcome import Outcome, completed
from harness.conductor.tasks.spec import MAX_DOCUMENT, Context, name, text
from harness.errors import BadRequest, HarnessFault

SPEC_FILE, IMAGE = "spec.yaml", "firmware.bin"


def generate_pattern(inputs: Mapping[str, Any], context: Context) -> Outcome:
    """``k1_generate_pattern``: a specification (its text, or its name in the store) as C++ in the store.

    A mistake in the specification is a verdict, with its line. It is named by all that is stored: another comment, or
    another template, says the same and is another file.
    """
    from harness.pipeline.patterns.generate import generate
    from harness.pipeline.patterns.spec import SpecInvalid, parse_spec

    store = context.firmware.store
    stored = name(inputs, "spec_name", "")
    body = _stored_text(store, stored) if stored else text(inputs, "spec", limit=MAX_DOCUMENT)
    try:
        spec = parse_spec(body)
        with context.scratch() as work:
            (work / SPEC_FILE).write_text(body, encoding="utf-8")
            made = generate(work / SPEC_FILE, work / "out")
            files = {path.name: path.read_bytes() for path in made.sources}
    except SpecInvalid as mistake:
        return completed({"pattern": "", "pattern_id": ""}, "fail", str(mistake))
    kept = _keep(store, spec.id, {SPEC_FILE: body.encode(), **files}, {"spec_sha256": spec.sha256})
    return completed({"pattern": kept.name, "pattern_id": spec.id, "sha256": kept.sha256, "spec_sha256": spec.sha256})


def compile_pattern(context: Context, pattern: str, environment: str) -> dict[str, Any]:
    """Compiles the checked-out commit with a stored pattern behind its own; the record as of a compile step.

    Raises:
        BadRequest: no such pattern, or no checked-out commit.
    """
    import os

    from harness.pipeline.artifacts import unzipped
    from harness.pipeline.build import BuildFailed, pio_environment, project_root
    from harness.pipeline.commit_steps import tree_of, write_record
    from harness.pipeline.compiler_output import first_error
    from harness.pipeline.patterns.generate import build_generated, generate

    store, work = context.firmware.store, context.build_folder
    body = unzipped(store.content(store.get("patterns", pattern))).get(SPEC_FILE)
    if body is None:
        raise HarnessFault(f"the pattern '{pattern}' holds no specification", evidence=store.url)
    tree, began = tree_of(work), time.monotonic()
    # A fresh worktree has no PlatformIO folder of its own.
    os.environ["PLATFORMIO_CORE_DIR"] = pio_environment(project_root())["PLATFORMIO_CORE_DIR"]
    (work / SPEC_FILE).write_bytes(body)
    told: dict[str, Any] = {"status": "passed", "why": "", "gates": [], "warnings": None}
    try:
        made = generate(work / SPEC_FILE, work / "pattern", root=tree)
        bundle = build_generated(made, work / "build" / environment, env=environment, root=tree, tell=print)
        told |= {"sha256": bundle.sha256, "version": bundle.version, "commit": str(bundle.manifest.get("git", ""))}
    except BuildFailed as failed:
        told |= {"status": "failed", "why": first_error(failed.lines)}
    told["seconds"] = round(time.monotonic() - began, 1)
    record = {"environments": {environment: told}, "seconds": told["seconds"], "pattern": pattern}
    write_record(work, record)
    return record


def store_pattern(context: Context, environment: str, firmware: str) -> str:
    """Keeps the pattern of a build with its specification, its source and the image that holds it; its name in the
    store, "" when the build has none."""
    from harness.pipeline.commit_steps import record_of

    work, store = context.build_folder, context.firmware.store
    chosen = str(record_of(work).get("pattern", ""))
    if not chosen:
        return ""
    pattern = str(store.get("patterns", chosen).details.get("pattern", chosen))
    files = {p.name: p.read_bytes() for p in sorted((work / "pattern").iterdir()) if p.is_file()}
    files |= {SPEC_FILE: (work / SPEC_FILE).read_bytes(), IMAGE: (work / "build" / environment / IMAGE).read_bytes()}
    return str(_keep(store, pattern, files, {"firmware": firmware, "environment": environment}).name)


def _keep(store: Any, pattern: str, files: Mapping[str, bytes], details: Mapping[str, Any]) -> Any:
    from harness.pipeline.artifacts import zipped

    data = zipped(files)
    named = f"{pattern}-{hashlib.sha256(data).hexdigest()[:12]}"
    return store.put_bytes("patterns", named, data, ".zip", {"pattern": pattern, **details}, folder=True)


def _stored_text(store: Any, chosen: str) -> str:
    from harness.pipeline.artifacts import unzipped

    artifact = store.get("patterns", chosen)
    data = store.content(artifact)
    data = unzipped(data).get(SPEC_FILE, b"") if artifact.encoding == "zip" else data
    if not data or len(data) > MAX_DOCUMENT:
        raise BadRequest(f"'{chosen}' holds no specification", expected=f"1 to {MAX_DOCUMENT} bytes of YAML")
    return str(data.decode("utf-8", "replace"))
