"""What holds for every test of the harness itself."""

import os

from hypothesis import settings

# A busy machine is not a defect: how long an example takes is never judged (timings are `make perf`).
# print_blob: a failure prints what repeats it.
settings.register_profile("house", deadline=None, print_blob=True)
settings.load_profile("house")

# Only with K1HIL_LAB=1: they take minutes each, or need npm, Prometheus or nginx.
_LAB = ["integration/test_conductor_worker.py", "integration/test_conductor_workflows.py",
        "integration/test_observability.py", "integration/test_pattern_generation.py", "integration/test_proxy.py",
        "integration/test_webapp.py", "integration/test_webhook_server.py", "truth/test_colour_truth.py",
        "truth/test_counter_frames.py"]  # fmt: skip
collect_ignore = [] if os.environ.get("K1HIL_LAB") else _LAB
