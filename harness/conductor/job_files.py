"""The files in a job's folder: what worker, keeper and work tell each other by."""

from __future__ import annotations

JOB, OUTCOME, PROGRESS, OUTPUT, NOTE = "job.json", "outcome.json", "progress.log", "output.log", "keeper.json"
