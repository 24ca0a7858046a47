"""The suite inside pytest's run: patterns as parameters, blame and metrics in reports, files and exit code."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import time
import traceback
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from harness.baseline.gate import detectable
from harness.baseline.history import History, history_path
from harness.errors import BadRequest, DutFailure, K1HilError
from harness.instruments.flashing import FlashingForbidden
from harness.report import export, html, summary
from harness.report.folder import drop_frame_sentences, point_latest
from harness.report.junit import finish_junit
from harness.report.model import Card, RunReport
from harness.report.tables import summary_lines, verdict_table
from harness.report.trend import sparklines
from harness.suite import workers
from harness.suite.deadlines import give_timeouts, item_timeout_s
from harness.suite.outcome import (
    HARNESS,
    RIG,
    capped_notes,
    exit_code,
    missing_requirements,
    nothing_judged,
    unmet_budgets,
    verdict_notes,
)
from harness.suite.results import Results
from harness.suite.session import SuiteSession
from harness.suite.views import notes_of

SERIAL_LINES = 40
# The chip's words for a crash; none of them belongs into a healthy log.
PANIC = re.compile(
    r"Guru Meditation Error|abort\(\) was called|assert failed|Stack canary watchpoint|A stack overflow in task"
    r"|Task watchdog got triggered|Interrupt wdt timeout|CORRUPT HEAP|Brownout detector|Rebooting\.\.\."
)


class SuiteHooks:
    """Registered only for runs of the suite."""

    def __init__(self, config: pytest.Config, session: SuiteSession) -> None:
        self.config = config
        self.session = session
        self.results = Results()
        self.started = datetime.now()
        self._clock = time.monotonic()
        self._report: RunReport | None = None
        self._problem = ""
        self._trace = ""

    # ---- before ------------------------------------------------------------------------------------

    def pytest_report_header(self) -> list[str]:
        """Rig, profile, seed and where results go."""
        s = self.session
        lines = [f"rig: {s.rig_name} ({s.provenance}), profile {s.profile.name}, seed {s.seed}"]
        return lines + ([f"results: {s.run}"] if s.run else [])

    def pytest_sessionstart(self) -> None:
        """Finds or builds the firmware; workers get it from the controller."""
        try:
            self.session.find_firmware(self._say)
            self.session.check_budgets()
        except BadRequest as error:
            raise pytest.UsageError(str(error)) from error
        except K1HilError as error:
            pytest.exit(str(error), returncode=error.exit_code)
        if not workers.is_worker(self.config):
            for line in self.detectable():
                self._say(line)

    def _say(self, line: str) -> None:
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None and not workers.is_worker(self.config) and self.config.get_verbosity() >= 0:
            terminal.write_line(line)

    def detectable(self) -> list[str]:
        """The smallest changes this profile can find, from the spread of the accepted values."""
        s = self.session
        length = f"profile {s.profile.name}: {s.profile.repeats} × {s.profile.audio_s:g} s per pattern"
        accepted = s.gate.accepted
        if accepted is None:
            return [f"{length}; no verdicts: {s.gate.absent}"]
        parts = []
        for name, label in (("render_us_mean", "render time"), ("fps", "frame rate")):
            changes = [
                detectable(samples, name, s.profile.repeats)
                for key, samples in accepted.samples.items()
                if key.endswith(f"/{name}")
            ]
            if changes:
                parts.append(f"{label} from {min(changes):.1%} to {max(changes):.1%} by pattern")
        return [f"{length}; smallest change found: {', '.join(parts) or 'unknown'}"]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """``pattern`` becomes one test per pattern of the firmware."""
        if "pattern" in metafunc.fixturenames and "pattern" not in _own_parameters(metafunc):
            metafunc.parametrize("pattern", [p.id for p in self.session.patterns])

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Each test gets its time. Tests marked ``foreign`` are for firmware without K1 sentences; there, all others of
        the rig are skipped.
        """
        give_timeouts(items, self.config, item_timeout_s(self.session.profile, self.session.config))
        foreign = [item for item in items if item.get_closest_marker("foreign")]
        if self.session.config.dut.sentences:
            if foreign:
                items[:] = [item for item in items if item not in foreign]
                self.config.hook.pytest_deselected(items=foreign)
            return
        reason = f"rig '{self.session.rig_name}' has no telemetry: its firmware speaks no K1 sentences"
        for item in items:
            if item not in foreign and "rig" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.skip(reason=reason))

    # ---- each test ---------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Once the rig is broken, the rest is skipped with its cause, before any fixture runs."""
        stop = self.session.stop
        if stop is not None:
            what = "rig fault" if stop.blame == "rig" else "the device did not come up"
            pytest.skip(f"{what}: {stop.reason}")

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self) -> Generator[None, object, object]:
        """A fixture may ask for what the rig file does not allow."""
        with _permitted():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Watches the console for a crash and metrics for their budgets; puts the console's end into the report."""
        try:
            with _permitted():
                result = yield
            self._refuse_panic(item)
            over = notes_of(item).over_budget
            if over:
                pytest.fail("; ".join(over), pytrace=False)
            return result
        finally:
            text = self._serial(item)
            if text:
                item.add_report_section("call", "stdout serial", text)

    def _lines(self, item: pytest.Item) -> list[str]:
        rig = self.session.rig
        if rig is None or "rig" not in getattr(item, "fixturenames", ()):
            return []
        return [line.text for line in rig.console.lines_since(notes_of(item).first_line)]

    def _serial(self, item: pytest.Item) -> str:
        return "\n".join(self._lines(item)[-SERIAL_LINES:])

    def _refuse_panic(self, item: pytest.Item) -> None:
        lines = self._lines(item)
        bad = [i for i, line in enumerate(lines) if PANIC.search(line)]
        if bad:
            raise DutFailure(
                "the device crashed during the test",
                expected="no panic text on the console",
                got="\n    ".join(["", *lines[bad[0] : bad[0] + 12]]),
                evidence=str(self.session.rig.console.log_path) if self.session.rig else "",
            )

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Adds blame, metrics and serial text to the report, as plain values that survive pytest-xdist."""
        report = yield
        found: dict[str, Any] = {"pattern": str(_callspec(item).get("pattern", ""))}
        if call.when == "call":
            notes = notes_of(item)
            found |= {"metrics": notes.metrics, "verdicts": notes.verdicts, "recordings": notes.recordings}
        if call.excinfo is not None and report.outcome != "passed":
            found |= self._explain(item, report, call.excinfo.value)
        if call.when == "teardown":
            for name in notes_of(item).own_recordings:
                self.session.forget(name)
        report.__dict__["k1hil"] = found
        return report

    def _explain(self, item: pytest.Item, report: pytest.TestReport, error: BaseException) -> dict[str, Any]:
        if report.skipped:
            return {"message": str(getattr(error, "msg", error))}
        told = error
        error, blame = self.session.blame(told)
        self.session.note_failure(error, blame)
        self.session.save(notes_of(item).recordings)
        notes = notes_of(item)
        text = str(error) or type(error).__name__
        if blame in ("rig", "request"):
            # Neither is a finding of this test: an error in JUnit, and no traceback through the harness.
            report.when = "setup" if report.when == "call" else report.when
            report.longrepr = f"{blame} fault: {text}"
        elif error is not told:
            report.longrepr = f"{report.longreprtext}\n{blame} fault: {text}"
        item.user_properties.append(("blame", blame))
        return {
            "blame": blame,
            "message": text.splitlines()[0],
            "detail": report.longreprtext,
            "serial": self._serial(item),
            # Only regressed, so that it may be accepted on purpose; a broken budget never is.
            "regressed": any(v["word"] == "regressed" for v in notes.verdicts)
            and blame == "dut" and not notes.over_budget,
        }

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collects results; in a worker they go to the controller instead."""
        if not workers.is_worker(self.config):
            self.results.add(report)

    # ---- after -------------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Iterator[None]:
        """After pytest and pytest-embedded have written their files: ours, and the exit code."""
        result = yield
        if workers.is_worker(self.config):
            workers.to_controller(self.config, self.session, self.session.facts)
        elif self.session.run is not None:
            session.exitstatus = self._finish(int(exitstatus), self.session.run)
        return result

    def _finish(self, status: int, run: Path) -> int:
        """Report and files; the exit code. Lost results are a fault of the harness, not of the device."""
        try:
            self._report = self._assemble(status)
            self._write(self._report, run)
            return self._report.exit_code
        except Exception as error:
            self._problem = f"the results could not be written: {error!r}"
            self._trace = traceback.format_exc()
            code = RIG if self._report is not None and self._report.exit_code == RIG else HARNESS
            if self._report is not None:
                self._report.exit_code = code
            return code

    def _assemble(self, status: int) -> RunReport:
        s = self.session
        facts = s.facts or self._worker_facts()
        bundle = {"project": s.bundle.project, "version": s.bundle.version, "sha256": s.bundle.sha256,
                  "git": s.bundle.manifest.get("git", "")} if s.bundle else {}  # fmt: skip
        missing = nothing_judged(self.results.tests)
        missing += missing_requirements(s.options.require, self.results.metrics, self.results.verdicts)
        unmet = unmet_budgets(s.config.budgets, self.results.metrics)
        if "verdict" in s.options.require:
            missing += unmet
        return RunReport(
            rig=s.rig_name,
            provenance=s.provenance,
            profile=s.profile.name,
            seed=s.seed,
            started=self.started.strftime("%Y-%m-%d %H:%M:%S"),
            seconds=round(time.monotonic() - self._clock, 2),
            exit_code=exit_code(status, self.results.tests, missing),
            cost_model=facts.get("cost_model", s.cost_model),
            fingerprint=facts.get("fingerprint") or (s.fingerprint if s.facts else {}),
            command=shlex.join(["pytest", *map(str, self.config.invocation_params.args)]),
            replay=self._replay(),
            firmware={**bundle, **facts.get("firmware", {})},
            detectable=self.detectable(),
            tests=self.results.tests,
            metrics=self.results.metrics,
            verdicts=self.results.verdicts,
            cards=_in_order(s),
            notes=self._notes(missing + [line for line in unmet if line not in missing]),
        )

    def _worker_facts(self) -> dict[str, Any]:
        hooks = self.config.pluginmanager.get_plugin("k1hil-xdist")
        facts: dict[str, Any] = hooks.facts if hooks is not None else {}
        return facts

    def _replay(self) -> str:
        out, skip = [], False
        for arg in map(str, self.config.invocation_params.args):
            if skip or arg == "--seed":
                skip = not skip
            elif not arg.startswith("--seed="):
                out.append(arg)
        return shlex.join(["pytest", *out, "--seed", str(self.session.seed)])

    def _notes(self, missing: list[str]) -> list[str]:
        notes = list(missing)
        broken = [t for t in self.results.tests if t.blame == "rig"]
        if broken:
            notes.append(f"rig fault in {broken[0].name}: {broken[0].message}; nothing is said about the device")
        notes += capped_notes(self.results.metrics, self.session.config.current_limit_a)
        notes += verdict_notes(self.results.verdicts)
        return notes

    def _write(self, report: RunReport, run: Path) -> None:
        """All files of the run."""
        text = export.metrics_json(report)
        export.write_text(run / "metrics.json", text)
        trends = remember(run, json.loads(text), self.session.options.reports)
        export.write_text(run / "metrics.csv", export.metrics_csv(report))
        short = summary.markdown(report)
        export.write_text(run / "summary.md", short)
        if step := os.environ.get("GITHUB_STEP_SUMMARY"):
            summary.append_to_step(short, step)
        descriptions = {p.id: p.description for p in self.session.patterns}
        export.write_text(run / "report.html", html.render(report, descriptions, trends))
        xml = Path(str(self.config.option.xmlpath or ""))
        if xml.is_file():
            finish_junit(xml, report)
            if xml.resolve() != (run / "junit.xml").resolve():
                shutil.copyfile(xml, run / "junit.xml")
        if report.exit_code == 0 and self.session.options.keep != "all":
            drop_frame_sentences(run / "console.log")
        point_latest(run)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """The verdict table, and where the results are."""
        if self._problem:
            terminalreporter.section("the harness failed", red=True)
            for line in [self._problem, *self._trace.splitlines()]:
                terminalreporter.write_line(line)
        report = self._report
        if report is None:
            return
        color = {0: "green", 11: "yellow"}.get(report.exit_code, "red")
        terminalreporter.section(f"{report.rig}: {report.word}", **{color: True})
        for line in verdict_table(report) + [""] + summary_lines(report):
            terminalreporter.write_line(line)
        if self.session.run is not None:
            terminalreporter.write_line(f"results: {_short(self.session.run)}/report.html")


@contextmanager
def _permitted() -> Iterator[None]:
    """What the rig file does not allow to be shown is skipped, as missing hardware is."""
    try:
        yield
    except FlashingForbidden as error:
        pytest.skip(error.message)


def remember(run: Path, document: dict[str, Any], reports: Path) -> dict[str, str]:
    """The run's row in the history; ``K1HIL_SESSION`` names its session. Returns the trends of what was judged."""
    uid = f"{run.name}-{document.get('seed')}"
    with History(history_path(reports)) as history:
        history.add(document, uid, os.environ.get("K1HIL_SESSION", ""))
        newest = next((r for r in history.runs(str(document.get("rig")), 20) if r.uid == uid), None)
        return sparklines(history, newest) if newest is not None else {}


def _in_order(session: SuiteSession) -> list[Card]:
    """Cards of the patterns as the firmware numbers them, then the others as they came."""
    index = {p.id: i for i, p in enumerate(session.patterns)}
    return sorted(session.cards, key=lambda c: index.get(c.name, len(index)))


def _own_parameters(metafunc: pytest.Metafunc) -> set[str]:
    """Names a test parametrizes itself."""
    names: set[str] = set()
    for mark in metafunc.definition.iter_markers("parametrize"):
        first = mark.args[0] if mark.args else mark.kwargs.get("argnames", "")
        names |= set(first.replace(",", " ").split()) if isinstance(first, str) else set(first)
    return names


def _callspec(item: pytest.Item) -> dict[str, Any]:
    spec = getattr(item, "callspec", None)
    return dict(spec.params) if spec is not None else {}


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
