"""A small, strict reading of YAML: plain values only, and the line of each of them.

Built on PyYAML's event stream, which needs no recursion and constructs nothing. Anchors, aliases, tags, several
documents and repeated keys are refused, size, depth and number of values are bounded: nothing a file says can make the
reader work or allocate more than in proportion to its length. Plain scalars follow the YAML 1.2 core schema (``yes`` is
a word, ``1:30`` too, ``1e3`` is a number).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_BYTES = 64 << 10
MAX_DEPTH = 12
MAX_VALUES = 2000
MAX_DIGITS = 40

_INTEGER = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NULL = ("", "~", "null", "Null", "NULL")
_FLAGS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}

Path = tuple[str | int, ...]


class YamlRefused(Exception):
    """A file that is no YAML, or more than plain values.

    Attributes:
        line: 1 for the first.
        problem: what is wrong there.
    """

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line
        self.problem = problem


@dataclass
class YamlTree:
    """What a file holds.

    Attributes:
        value: dicts, lists, strings, numbers, booleans and None.
        lines: line of every value by its path; 1 for the first line.
    """

    value: Any = None
    lines: dict[Path, int] = field(default_factory=dict)

    def line_of(self, path: Path) -> int:
        """Line of a value, else of the nearest one around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


@dataclass
class _Open:
    """A mapping or list that is being read."""

    holder: dict[str, Any] | list[Any]
    path: Path
    key: str | None = None


def read_yaml(text: str) -> YamlTree:
    """Reads one document.

    Raises:
        YamlRefused: not YAML, or something else than plain values within the bounds.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise YamlRefused(1, f"the file is larger than {MAX_BYTES} bytes")
    reader = _Reader()
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            reader.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlRefused(mark.line + 1 if mark else 1, str(error.problem or error.context)) from error
    except yaml.YAMLError as error:  # characters YAML forbids
        raise YamlRefused(1, " ".join(str(error).split())[:200]) from error
    if not reader.documents:
        raise YamlRefused(1, "the file is empty")
    return reader.tree


class _Reader:
    def __init__(self) -> None:
        self.tree = YamlTree()
        self.documents = 0
        self._open: list[_Open] = []
        self._values = 0

    def take(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent):
            raise YamlRefused(line, "aliases (*) are not allowed")
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise YamlRefused(line, "a second document")
        if isinstance(event, yaml.NodeEvent):
            self._bound(event, line)
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event, line)
        elif isinstance(event, yaml.MappingStartEvent):
            self._begin({}, line)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._begin([], line)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._open.pop()

    def _bound(self, event: yaml.NodeEvent, line: int) -> None:
        if event.anchor is not None:
            raise YamlRefused(line, "anchors (&) are not allowed")
        if getattr(event, "tag", None) is not None:
            raise YamlRefused(line, "tags (!) are not allowed")
        self._values += 1
        if self._values > MAX_VALUES:
            raise YamlRefused(line, f"more than {MAX_VALUES} values")

    def _begin(self, holder: dict[str, Any] | list[Any], line: int) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise YamlRefused(line, f"nested deeper than {MAX_DEPTH}")
        if self._wants_key():
            raise YamlRefused(line, "a key must be a word")
        self._open.append(_Open(holder, self._place(holder, line)))

    def _wants_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].holder, dict) and self._open[-1].key is None

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        if not self._wants_key():
            self._place(_plain(event.value, line) if event.style is None else event.value, line)
            return
        around = self._open[-1]
        if event.value in around.holder:
            raise YamlRefused(line, f"'{event.value[:40]}' stands here twice")
        around.key = event.value

    def _place(self, value: Any, line: int) -> Path:
        """Puts a value where it belongs; its path."""
        if not self._open:
            self.tree.value = value
            path: Path = ()
        else:
            around = self._open[-1]
            if isinstance(around.holder, list):
                path = (*around.path, len(around.holder))
                around.holder.append(value)
            else:
                assert around.key is not None
                path = (*around.path, around.key)
                around.holder[around.key] = value
                around.key = None
        self.tree.lines[path] = line
        return path


def _plain(text: str, line: int) -> Any:
    if text in _NULL:
        return None
    if text in _FLAGS:
        return _FLAGS[text]
    number = _INTEGER.fullmatch(text) or _NUMBER.fullmatch(text)
    if number is None:
        return text
    if len(text) > MAX_DIGITS:
        raise YamlRefused(line, "a number of too many digits")
    return int(text) if _INTEGER.fullmatch(text) else float(text)
