# Everything here first runs ./setup (quick when nothing changed) and then one command you can also type yourself.
# Kept to what GNU make 3.81 understands, which is what macOS ships.

RIG  ?= sim
ARGS ?=
PY   = .venv/bin/python

.PHONY: conductor-demo help hil test truth perf mutants matrix xtensa lint lock clean setup

help:
	@echo "make hil [RIG=sim] [ARGS='-k breathe']   test a device (default: the virtual bench)"
	@echo "make test [ARGS=...]                     test the harness itself: style, layers, C++, Python"
	@echo "make truth [ARGS=...]                    every stated accuracy against simulated truth, goal and achieved"
	@echo "make perf | mutants | matrix             timings | does each fault turn tests red | every esptool release"
	@echo "make conductor-demo                       commit to device as workflows of a real Conductor server, in minutes"
	@echo "make xtensa | lint | lock | clean        portable core | style only | new requirements.lock | remove results"

setup:
	@./setup

# A caller's exit code of the suite (10 rig fault, 11 inconclusive, ...) is printed by make as "Error 10".
hil: setup
	@.venv/bin/pytest tests_hil --rig $(RIG) $(ARGS)
	@test -e .venv/.first-green || { : >.venv/.first-green; \
	  echo; echo "From now on:  .venv/bin/pytest tests_hil --rig $(RIG)"; }

# Three files at a time, in their order: much of it is waiting, for boards in wall time and servers to start.
test: setup
	@.venv/bin/pytest tests -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

# Outside CI: tens of minutes on two cores. `make test` runs a stated tenth of the trials.
truth: setup
	@K1HIL_TRUTH=full .venv/bin/pytest tests/truth $(ARGS)

perf: setup
	@$(PY) -m benchmarks $(ARGS)

mutants: setup
	@$(PY) -m tests.mutants $(ARGS)

matrix: setup
	@K1HIL_ESPTOOL=all .venv/bin/pytest tests/integration -k esptool $(ARGS)

conductor-demo: setup
	@$(PY) -m tools.conductor_demo $(ARGS)

xtensa: setup
	@$(PY) tools/xtensa_check.py $(ARGS)

lint: setup
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo

lock: setup
	@$(PY) tools/lock.py

clean:
	test ! -d reports || find reports -mindepth 1 -maxdepth 1 ! -name 'history.sqlite*' -exec rm -rf {} +
	rm -rf firmware/.pio .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
