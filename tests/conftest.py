"""What holds for every test of the harness itself."""

import os

import pytest
from hypothesis import settings

# A busy machine is not a defect: how long an example takes is never judged (timings are `make perf`).
# print_blob: a failure prints what repeats it.
settings.register_profile("house", deadline=None, print_blob=True)
settings.load_profile("house")

# Fixtures that take long to make and serve several files: those files share one process of a parallel run.
SHARED = ("conductor_server", "patched")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With pytest-xdist a file stays in one process, and so do the files that share something expensive."""
    needed: dict[str, set[str]] = {}
    for item in items:
        needed.setdefault(str(item.path), set()).update(getattr(item, "fixturenames", ()))
    for item in items:
        shared = [name for name in SHARED if name in needed[str(item.path)]]
        item.add_marker(pytest.mark.xdist_group(shared[0] if shared else item.path.name))


# Only with K1HIL_LAB=1: they take minutes each, or need npm, Prometheus or nginx.
_LAB = ["integration/test_conductor_worker.py", "integration/test_conductor_workflows.py",
        "integration/test_observability.py", "integration/test_pattern_generation.py", "integration/test_proxy.py",
        "integration/test_webapp.py", "integration/test_webhook_server.py", "truth/test_colour_truth.py",
        "truth/test_counter_frames.py"]  # fmt: skip
collect_ignore = [] if os.environ.get("K1HIL_LAB") else _LAB
