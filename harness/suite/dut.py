"""``dut``: pytest-embedded's device object over the rig's console. No helper process, no port of its own."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pexpect
from pexpect.spawnbase import SpawnBase
from pytest_embedded.dut import Dut
from pytest_embedded.unity import UNITY_SUMMARY_LINE_REGEX
from pytest_embedded.utils import remove_asci_color_code, to_bytes

from harness.errors import BadRequest
from harness.instruments.console import Console, clean
from harness.rig.rig import Rig

_SHOWN = 400


class ConsoleSpawn(SpawnBase):
    """pexpect over a console cursor.

    Deadlines are kept on the rig's clock, which on the virtual bench is not the wall's: what pexpect computes from
    ``time.time()`` is only an upper bound.
    """

    def __init__(self, console: Console, timeout_s: float = 30.0) -> None:
        super().__init__(timeout=timeout_s, maxread=1 << 16)
        self._console = console
        self._cursor = console.cursor()
        self._deadline_ns = 0
        self.closed = False

    def expect_list(self, pattern_list: Any, timeout: Any = -1, *args: Any, **kwargs: Any) -> int:
        """See pexpect."""
        self._start(timeout)
        return int(super().expect_list(pattern_list, timeout, *args, **kwargs))

    def expect_exact(self, pattern_list: Any, timeout: Any = -1, *args: Any, **kwargs: Any) -> int:
        """See pexpect."""
        self._start(timeout)
        return int(super().expect_exact(pattern_list, timeout, *args, **kwargs))

    def _start(self, timeout: float | None) -> None:
        seconds = self.timeout if timeout == -1 else timeout
        self._deadline_ns = self._console.clock.now_ns() + round((86400.0 if seconds is None else seconds) * 1e9)

    def read_nonblocking(self, size: int = 1, timeout: Any = -1) -> bytes:
        """Console text since the last read; waits for it until the deadline of the running ``expect``.

        Raises:
            pexpect.TIMEOUT: nothing came.
        """
        left_s = max(0.0, (self._deadline_ns - self._console.clock.now_ns()) / 1e9)
        data = self._cursor.read(left_s)
        if not data:
            raise pexpect.TIMEOUT("Timeout exceeded.")
        self._log(data, "read")
        return data

    def send(self, data: bytes | str) -> int:
        """Writes to the device."""
        raw = to_bytes(data)
        self._log(raw, "send")
        self._console.write(raw)
        return len(raw)

    def isalive(self) -> bool:
        """The console outlives every test."""
        return not self.closed

    def close(self) -> None:
        """Nothing to close: the console belongs to the rig."""
        self.closed = True

    def terminate(self, force: bool = False) -> None:
        """As :meth:`close`."""
        self.close()

    @property
    def buffer_debug_str(self) -> str:
        """What came since the last match, cleaned, for error texts."""
        text = clean(bytes(self.buffer)) or "nothing"
        return textwrap.shorten(text, _SHOWN, placeholder=f" … ({len(self.buffer)} bytes)")


class _Outbox:
    """Where pytest-embedded puts what a test writes."""

    def __init__(self, spawn: ConsoleSpawn) -> None:
        self._spawn = spawn

    def put(self, data: bytes | str) -> None:
        """Sends at once."""
        self._spawn.send(data)


class RigDut(Dut):
    """The device of a rig as tests written for pytest-embedded know it: ``expect``, ``expect_exact``, ``write``, Unity.

    Args:
        rig: whose console is read, from now on.
        log_file: name of the Unity report's sibling; its folder is named after the test.
        test_name: of the running test.
    """

    def __init__(self, rig: Rig, log_file: Path, test_name: str) -> None:
        spawn = ConsoleSpawn(rig.console)
        self._rig = rig
        super().__init__(spawn, _Outbox(spawn), None, str(log_file), test_name)

    @property
    def app(self) -> Any:
        """Not there: the harness knows images, not ESP-IDF build folders.

        Raises:
            BadRequest: always.
        """
        raise _absent("dut.app", "rig.bundle and rig.identity describe the firmware")

    @app.setter
    def app(self, value: Any) -> None:
        """The base class sets it; there is nothing to keep."""

    @property
    def serial(self) -> Any:
        """Not there: the port belongs to the rig.

        Raises:
            BadRequest: always.
        """
        raise _absent("dut.serial", "rig.reset(), rig.flash() and rig.console do what it did")

    def expect_unity_test_output(
        self, remove_asci_escape_code: bool = True, timeout: float = 60, extra_before: bytes | str | None = None
    ) -> None:
        """Waits for a Unity summary and takes its cases into the JUnit report.

        Raises:
            pexpect.TIMEOUT: no summary in time.
        """
        self.expect(UNITY_SUMMARY_LINE_REGEX, timeout=timeout)
        log = (to_bytes(extra_before) if extra_before else b"") + self.pexpect_proc.before
        if remove_asci_escape_code:
            log = remove_asci_color_code(log)
        where = str(self._rig.bundle.path) if self._rig.bundle else ""
        self.testsuite.add_unity_test_cases(log, additional_attrs={"app_path": where})


def _absent(what: str, remedy: str) -> BadRequest:
    return BadRequest(f"{what} does not exist on a rig of this harness", remedy=remedy)
