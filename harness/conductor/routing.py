"""Which tasks need a rig, and so go to the queue of one rig (its domain)."""

from __future__ import annotations

RIG_TASKS = (
    "k1_reserve",
    "k1_deploy",
    "k1_health",
    "k1_rollback",
    "k1_suite",
    "k1_release_rig",
    "k1_nightly",
    "k1_device_health",
)
BUILD_TASKS = (
    "k1_checkout_validate",
    "k1_clean",
    "k1_compile",
    "k1_metrics",
    "k1_store",
    "k1_generate_pattern",
    "k1_integration",
    "k1_compare",
    "k1_report",
    "k1_webapp_build",
    "k1_webapp_deploy",
    "k1_audio_validate",
    "k1_audio_analyse",
    "k1_audio_tune",
    "k1_alert",
)


def rig_domain(rig: str) -> dict[str, str]:
    """Task type -> queue, for a workflow whose rig tasks all belong to one rig. Sub-workflows inherit it."""
    return dict.fromkeys(RIG_TASKS, rig)
