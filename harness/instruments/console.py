"""The device's console: an immutable, time-stamped log with cursors.

The log only grows; a reader is a cursor into it, so two readers never steal each other's lines. Frame and pixel
sentences go to the telemetry instrument and stay out of the text; ``console.log`` leaves out the pixel sentences, which
recordings keep (a minute of them is 7 MB there and 60 MB as text).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from harness.errors import Deadline
from harness.instruments.clock import HostClock
from harness.instruments.flashing import FlashGuard
from harness.instruments.ports import StampedPort
from harness.wire.telemetry import Batch, LineSplitter, encode_command, parse_lines

_ANSI = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\n\t]")
_PIXELS = b"$K1PIX,"
TAIL_LINES = 12
# Commands whose words are secrets: never in logs or errors.
SECRET_VERBS = frozenset({"wifi", "apikey"})


class Line(NamedTuple):
    """One line of the log: host time (ns) at which it was complete, and its text without line end."""

    host_ns: int
    text: str


class ConsoleTimeout(Deadline):
    """A pattern did not come in time. Carries the pattern, the cleaned tail of the log and the path of the whole."""


def clean(data: bytes) -> str:
    """Console bytes as readable text: no escape sequences, control characters as dots, ``\\n`` line ends."""
    text = _ANSI.sub(b"", data).decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return _UNPRINTABLE.sub(".", text)


class Cursor:
    """A reading position in the console's text. Only moves forward."""

    def __init__(self, console: Console, at: int) -> None:
        self._console = console
        self.at = at

    def read(self, timeout_s: float = 0.0) -> bytes:
        """Text bytes since the cursor; waits up to ``timeout_s`` for the first one, then returns what there is."""
        console = self._console
        console.pump()
        if console.size == self.at and timeout_s > 0:
            console.clock.wait(lambda: console.pump() or console.size > self.at, timeout_s, stop="console")
        data = console.text_from(self.at)
        self.at += len(data)
        return data

    def expect(self, pattern: str | re.Pattern[str], timeout_s: float) -> re.Match[str]:
        """Waits for a match in the text after the cursor and moves behind it.

        Raises:
            ConsoleTimeout: with pattern, cleaned tail and log path.
            RigFault: the port is gone.
        """
        wanted = re.compile(pattern) if isinstance(pattern, str) else pattern
        found: list[re.Match[str]] = []
        looked = -1

        def look() -> bool:
            nonlocal looked
            self._console.pump()
            if self._console.size == looked:
                return False
            looked = self._console.size
            # surrogateescape: undecodable bytes survive, and the match's end can be turned back into a byte count.
            match = wanted.search(self._console.text_from(self.at).decode("utf-8", "surrogateescape"))
            if match is not None:
                found.append(match)
            return match is not None

        if not look():
            self._console.clock.wait(look, timeout_s, stop="console")
        if not found:
            raise ConsoleTimeout(
                f"console: no match within {timeout_s:g} s",
                expected=wanted.pattern,
                got=self._console.tail(self.at),
                evidence=str(self._console.log_path or "(no log file)"),
                remedy="read the log; is the device running, and at this baud rate?",
            )
        self.at += len(found[0].string[: found[0].end()].encode("utf-8", "surrogateescape"))
        return found[0]


class Console:
    """The console of one device, over one port.

    Nothing is read behind the caller's back: :meth:`pump` takes what the port holds, and every wait pumps.

    Args:
        port: where the bytes come from.
        clock: what to wait on.
        log_path: file that gets every line as it comes, but for pixel sentences; appended to.
        mask: takes out of each line what nobody is to read, before anything else sees it.
    """

    def __init__(
        self, port: StampedPort, clock: HostClock, log_path: Path | None = None,
        mask: Callable[[bytes], bytes] | None = None,
    ) -> None:  # fmt: skip
        self.port = port
        self.clock = clock
        self.log_path = log_path
        self._log = log_path.open("ab") if log_path is not None else None
        self._mask = mask
        self._splitter = LineSplitter()
        self._text = bytearray()
        self._lines: list[Line] = []
        self._secrets: list[bytes] = []
        self._listeners: list[Callable[[Batch], None]] = []
        self.damaged = 0
        self.guard = FlashGuard(allowed=True)

    @property
    def lines(self) -> tuple[Line, ...]:
        """All lines so far. A copy: the log itself cannot be changed from outside."""
        return tuple(self._lines)

    def lines_since(self, n: int) -> list[Line]:
        """Lines from index ``n`` on; :attr:`n_lines` gives the index of the next one."""
        return self._lines[n:]

    @property
    def n_lines(self) -> int:
        """Lines so far."""
        return len(self._lines)

    @property
    def size(self) -> int:
        """Bytes of text so far, an unfinished line included."""
        return len(self._text) + len(self._visible_partial())

    def _visible_partial(self) -> bytes:
        # A started sentence is shown once it is known whether it is one; a masked line once it can be masked.
        partial = self._splitter.partial
        return b"" if partial.startswith(b"$") or self._mask is not None else partial

    def text_from(self, at: int) -> bytes:
        """Text bytes from position ``at`` on."""
        return bytes(self._text[at:]) + self._visible_partial()[max(0, at - len(self._text)) :]

    def cursor(self, *, from_start: bool = False) -> Cursor:
        """A new reader: at the end of what has come in, or at the start of the log."""
        self.pump()
        return Cursor(self, 0 if from_start else self.size)

    def tail(self, at: int = 0, lines: int = TAIL_LINES) -> str:
        """The last lines after ``at``, cleaned for people."""
        text = clean(self.text_from(at)).rstrip("\n")
        rows = text.split("\n")
        return "\n    ".join(["", *rows[-lines:]]) if text else "nothing"

    def listen(self, listener: Callable[[Batch], None]) -> None:
        """Calls ``listener(batch)`` for all that comes in from now on."""
        self._listeners.append(listener)

    def pump(self) -> bool:
        """Takes what the port holds. Always False, so that it can stand in a condition: ``pump() or …``.

        Raises:
            RigFault: the port is gone.
        """
        pieces = self.port.read_stamped()
        if not pieces:
            return False
        batch, complete = Batch(), []
        for host_ns, data in pieces:
            raw = self._splitter.feed(data)
            if raw and self._mask is not None:
                raw = [self._mask(line) for line in raw]
            if raw:
                parse_lines(raw, host_ns, batch)
                complete += raw
        self._write_log(complete)
        self.damaged += batch.damaged
        for host_ns, line in batch.text:
            self._text += line + b"\n"
            clear = self._redact(_ANSI.sub(b"", line)).rstrip(b"\r")
            self._lines.append(Line(host_ns, clear.decode("utf-8", "replace")))
        for listener in self._listeners:
            listener(batch)
        return False

    def _write_log(self, complete: list[bytes]) -> None:
        """Whole lines only: a secret that came in two pieces is found, and a command never lands inside a line."""
        if self._log is None:
            return
        data = b"".join(self._redact(line) + b"\n" for line in complete if _PIXELS not in line)
        if data:
            self._log.write(data)
            self._log.flush()

    def _redact(self, line: bytes) -> bytes:
        for secret in self._secrets:
            line = line.replace(secret, b"***")
        return line

    def write(self, text: str | bytes) -> None:
        """Sends bytes as they are. Use :meth:`send` for commands: it keeps secrets out of the log."""
        data = text.encode() if isinstance(text, str) else text
        self.guard.console(data)
        self.port.write(data)

    def send(self, command: str) -> None:
        """Sends one command line and notes it in the log (``>>> …``), what is secret in it replaced by stars.

        Raises:
            ValueError: not a command line.
            RigFault: the port is gone.
            FlashingForbidden: it selects a pattern that flashes, which this rig does not allow.
        """
        line = encode_command(command)
        self.guard.console(line)
        shown = command
        words = command.split()
        if words and words[0] in SECRET_VERBS:
            shown = " ".join([words[0], *("***" for _ in words[1:])])
            # Very short words would blot out half the log; no network or device accepts one that short.
            for word in words[1:]:
                self._secrets += [s.encode() for s in {word, unquote(word)} if len(s) >= 4]
        if self._log is not None:
            self._log.write(b">>> " + shown.encode() + b"\n")
            self._log.flush()
        self.port.write(line)

    def expect(self, pattern: str | re.Pattern[str], timeout_s: float) -> re.Match[str]:
        """Waits for a pattern in what comes in from now on. See :meth:`Cursor.expect`."""
        return self.cursor().expect(pattern, timeout_s)

    def close(self) -> None:
        """Closes the log; the port belongs to whoever opened it."""
        if self._log is not None:
            if self._splitter.partial and self._mask is None:
                self._log.write(self._redact(self._splitter.partial))
            self._log.close()
            self._log = None
