"""What holds for every test of the harness itself."""

from hypothesis import settings

# A busy machine is not a defect: how long an example takes is never judged (timings are `make perf`).
# print_blob: a failure prints what repeats it.
settings.register_profile("house", deadline=None, print_blob=True)
settings.load_profile("house")
