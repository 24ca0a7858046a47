"""Fixtures of several test files."""

from scripted_rig import suite_project  # noqa: F401
