"""All task types: what the server calls them, who does them, and how long they may take."""

from __future__ import annotations

from harness.conductor.tasks import alerts, audio, build, device, patterns, reserve, suite, webapp
from harness.conductor.tasks.spec import TaskSpec

_HOUR_S = 3600.0

_SPECS = (
    TaskSpec("k1_checkout_validate", "build", build.checkout_validate, 1700.0, needs=("repo", "commit_sha")),
    TaskSpec("k1_clean", "build", build.clean, 600.0, needs=("repo", "commit_sha")),
    TaskSpec("k1_compile", "build", build.compile_, _HOUR_S),
    TaskSpec("k1_metrics", "build", build.metrics, 300.0),
    TaskSpec("k1_store", "build", build.store, 600.0),
    TaskSpec("k1_generate_pattern", "build", patterns.generate_pattern, 600.0),
    TaskSpec("k1_integration", "build", suite.integration, 2 * _HOUR_S),
    TaskSpec("k1_compare", "build", suite.compare, 600.0),
    TaskSpec("k1_report", "build", suite.report, 600.0),
    TaskSpec("k1_webapp_build", "build", webapp.webapp_build, 1700.0, needs=("repo",)),
    TaskSpec("k1_webapp_deploy", "build", webapp.webapp_deploy, 600.0, needs=("name", "target")),
    TaskSpec("k1_audio_validate", "build", audio.audio_validate, 600.0, needs=("audio",)),
    TaskSpec("k1_audio_analyse", "build", audio.audio_analyse, 900.0, needs=("audio",)),
    TaskSpec("k1_audio_tune", "build", audio.audio_tune, _HOUR_S, needs=("audio",)),
    TaskSpec("k1_alert", "build", alerts.alert, 100.0),
    TaskSpec("k1_reserve", "rig", reserve.reserve, 60.0, inline=True),
    TaskSpec("k1_release_rig", "rig", reserve.release, 60.0, inline=True),
    TaskSpec("k1_deploy", "rig", device.deploy, 1700.0, "own", needs=("expected_sha256",)),
    TaskSpec("k1_health", "rig", device.health, _HOUR_S, "own", needs=("expected_sha256",)),
    TaskSpec("k1_rollback", "rig", device.rollback, 1700.0, "own"),
    TaskSpec("k1_suite", "rig", suite.suite, 2 * _HOUR_S, "own", needs=("expected_sha256",)),
    TaskSpec("k1_nightly", "rig", suite.nightly, 12 * _HOUR_S, "wait"),
    TaskSpec("k1_device_health", "rig", device.device_health, 900.0, "skip"),
)

TASKS: dict[str, TaskSpec] = {spec.name: spec for spec in _SPECS}
