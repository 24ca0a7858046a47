"""Timings of the harness itself: ``make perf``, or ``python -m benchmarks``."""
