"""What holds for every test of the harness itself."""

import os

from hypothesis import settings

# A busy machine is not a defect: how long an example takes is never judged (timings are `make perf`).
# print_blob: a failure prints what repeats it.
settings.register_profile("house", deadline=None, print_blob=True)
settings.load_profile("house")

# Only with K1HIL_LAB=1: many minutes.
_LAB = ["truth/test_colour_truth.py"]
collect_ignore = [] if os.environ.get("K1HIL_LAB") else _LAB
