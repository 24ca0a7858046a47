"""Answers of the device with typed fields: still the JSON object, read through attributes that check their kind.

What an endpoint must tell is checked when the answer comes in; what it may leave out (or tell wrongly, without harm to
whoever does not ask) is checked when it is read, and is None when it is not there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, Self, TypeVar, overload

from harness.instruments.api_errors import BadAnswer, shown

T = TypeVar("T")
UINT32 = (1 << 32) - 1
_COLOUR = re.compile(r"[0-9A-Fa-f]{6}")


class Field(Generic[T]):
    """One field of an :class:`Answer`.

    Args:
        take: returns the value, or raises ValueError with what was expected.
        key: its name in JSON; default the attribute's.
        need: whether the answer is worthless without it.
    """

    def __init__(self, take: Callable[[Any], T], key: str = "", *, need: bool = True) -> None:
        self.take = take
        self.key = key
        self.need = need

    def __set_name__(self, owner: type[Answer], name: str) -> None:
        self.key = self.key or name

    @overload
    def __get__(self, answer: None, owner: type) -> Self: ...
    @overload
    def __get__(self, answer: Answer, owner: type) -> T: ...
    def __get__(self, answer: Answer | None, owner: type) -> Self | T:
        return self if answer is None else self.read(answer, answer.where)

    def read(self, answer: Mapping[str, Any], where: str) -> T:
        """The value.

        Raises:
            BadAnswer: of another kind.
        """
        value = answer.get(self.key)
        try:
            return self.take(value)
        except ValueError as error:
            raise BadAnswer(
                f"{where}: {self.key} is not what the contract says", expected=str(error), got=shown(value),
                remedy="compare the firmware with the contract: docs/http-api.md",
            ) from None  # fmt: skip


class Answer(dict[str, Any]):
    """A JSON object of the device. Subclasses name its fields; units are in the names or in the docstring."""

    fields: ClassVar[dict[str, Field[Any]]] = {}
    where = "the answer"

    def __init_subclass__(cls) -> None:
        own = {name: value for name, value in vars(cls).items() if isinstance(value, Field)}
        cls.fields = {**cls.fields, **own}

    @classmethod
    def of(cls, where: str, body: Mapping[str, Any]) -> Self:
        """The answer, checked.

        Args:
            where: method and path, for errors.

        Raises:
            BadAnswer: a needed field is missing or of another kind.
        """
        needed = [field for field in cls.fields.values() if field.need]
        missing = [field.key for field in needed if field.key not in body]
        if missing:
            expected = ", ".join(field.key for field in needed)
            raise BadAnswer(f"{where} lacks {', '.join(missing)}", expected=expected, got=shown(body))
        answer = cls(body)
        answer.where = where
        for field in needed:
            field.read(answer, where)
        return answer


# ---- kinds of fields -----------------------------------------------------------------------------------


def real(low: float = -math.inf, high: float = math.inf, key: str = "") -> Field[float]:
    """A finite number."""
    return Field(_real(low, high), key)


def whole(low: int = 0, high: int = UINT32, key: str = "") -> Field[int]:
    """A whole number; by default what fits uint32."""
    return Field(_whole(low, high), key)


def text(key: str = "") -> Field[str]:
    """Text."""
    return Field(_text, key)


def flag(key: str = "") -> Field[bool]:
    """true or false."""
    return Field(_flag, key)


def maybe(field: Field[T]) -> Field[T | None]:
    """The same field, None where it is not there."""
    return Field(lambda value: None if value is None else field.take(value), field.key, need=False)


def part(kind: type[Answer], key: str = "") -> Field[Any]:
    """A JSON object inside the answer, as ``kind``."""
    return Field(lambda value: kind.of(kind.__name__, _object(value)), key)


def rows(kind: type[A], key: str = "") -> Field[tuple[A, ...]]:
    """A list of JSON objects, each as ``kind``."""
    return Field(lambda value: tuple(kind.of(kind.__name__, _object(row)) for row in _list(value)), key)


def reals(key: str = "") -> Field[tuple[float, ...]]:
    """A list of finite numbers."""
    take = _real(-math.inf, math.inf)
    return Field(lambda value: tuple(take(v) for v in _list(value)), key)


def colours(key: str = "") -> Field[tuple[str, ...]]:
    """A list of ``RRGGBB``."""
    return Field(lambda value: tuple(_colour(v) for v in _list(value)), key)


A = TypeVar("A", bound=Answer)


def _real(low: float, high: float) -> Callable[[Any], float]:
    def take(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError("a number")
        try:
            found = float(value)
        except OverflowError:
            raise ValueError("a number") from None
        if not math.isfinite(found) or not low <= found <= high:
            raise ValueError(f"a finite number from {low:g} to {high:g}")
        return found

    return take


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def take(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return take


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("text")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("a list")
    return value


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("an object")
    return value


def _colour(value: Any) -> str:
    if not isinstance(value, str) or not _COLOUR.fullmatch(value):
        raise ValueError("colours as RRGGBB")
    return value.upper()
