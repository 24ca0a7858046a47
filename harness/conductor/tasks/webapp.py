"""A web app from a commit to a served folder of this machine, which a web server shows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.conductor.outcome import Outcome, completed
from harness.conductor.tasks.spec import Context, name, text
from harness.errors import BadRequest

SITES_ENV = "K1HIL_SITES"
TARGETS = ("staging", "production")


def webapp_build(inputs: Mapping[str, Any], context: Context) -> Outcome:
    """``k1_webapp_build``: any npm project of an allow-listed repository; what does not build is a verdict."""
    from harness.pipeline.checkout import checked_out, head_of
    from harness.pipeline.webapp import build, store_build

    repo = name(inputs, "repo")
    commit = text(inputs, "commit_sha", "", 40) or head_of(repo)
    with checked_out(repo, commit) as tree:
        project = (tree / text(inputs, "project", ".", 200)).resolve()
        if not project.is_relative_to(tree.resolve()) or not project.is_dir():
            raise BadRequest("no such project in the commit", got=repr(inputs.get("project"))[:80])
        made = build(project, tell=print)
    artifact = store_build(context.firmware.store, made, commit)
    context.tell(f"built {artifact.name} with {made.tools}")
    return completed({"name": artifact.name, "sha256": artifact.sha256, "commit": commit, "files": len(made.files)})


def webapp_deploy(inputs: Mapping[str, Any], context: Context) -> Outcome:
    """``k1_webapp_deploy``: a stored build becomes the live release of staging or production, in one step."""
    from harness.pipeline.webapp_site import deploy

    target = text(inputs, "target", limit=20)
    if target not in TARGETS:
        raise BadRequest(f"unknown target '{target}'", expected=", ".join(TARGETS))
    sites = Path(os.environ.get(SITES_ENV) or context.folder.parents[1] / "sites")
    switch = deploy(context.firmware.store, name(inputs, "name"), sites / target)
    context.tell(f"{target}: {switch.live} is live")
    told = {k: v for k, v in switch.to_json().items() if k in ("live", "previous", "changed")}
    return completed({"outcome": "deployed", "target": target, "path": str(sites / target / "current"), **told})
