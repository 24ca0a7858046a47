"""Flash progress on the terminal, through pytest's capture."""

from __future__ import annotations

import contextlib

import pytest


class Progress:
    """Called with (fraction, text). One line that changes on a terminal; elsewhere one line and no more."""

    def __init__(self, config: pytest.Config) -> None:
        self._terminal = config.pluginmanager.get_plugin("terminalreporter")
        self._capture = config.pluginmanager.get_plugin("capturemanager")
        self._shown = ""

    def __call__(self, fraction: float, text: str) -> None:
        """Shows a step."""
        if self._terminal is None:
            return
        tty = bool(self._terminal.isatty)
        line = f"flashing {fraction:4.0%} {text[:60]}" if tty else "flashing the device …"
        if line == self._shown:
            return
        with self._uncaptured():
            if tty:
                self._terminal.rewrite(line, erase=True)
            else:
                self._terminal.write_line(line)
        self._shown = line

    def done(self) -> None:
        """Ends the line."""
        if self._terminal is not None and self._shown and self._terminal.isatty:
            with self._uncaptured():
                self._terminal.rewrite("", erase=True)

    def _uncaptured(self) -> contextlib.AbstractContextManager[None]:
        if self._capture is None:
            return contextlib.nullcontext()
        manager: contextlib.AbstractContextManager[None] = self._capture.global_and_fixture_disabled()
        return manager
