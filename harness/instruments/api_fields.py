"""Answers of the device with typed fields: still the JSON object, read through attributes that check their kind.

What an endpoint must tell is checked when the answer comes in; what it may leave out (or tell wrongly, without harm to
whoever does not ask) is checked when it is read, and is None when it is not there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Generic, Self, TypeVar, overload

from pydantic import AfterValidator, FiniteFloat, StringConstraints, TypeAdapter, ValidationError
from pydantic import Field as Bound

from harness.instruments.api_errors import BadAnswer, shown

T = TypeVar("T")
UINT32 = (1 << 32) - 1


class Field(Generic[T]):
    """One field of an :class:`Answer`.

    Args:
        kind: what pydantic holds it to, strictly: no number is made of text, no flag of a number.
        key: its name in JSON; default the attribute's.
        need: whether the answer is worthless without it.
    """

    def __init__(self, kind: Any, key: str = "", *, need: bool = True) -> None:
        self.kind = kind
        self.adapter: TypeAdapter[T] = TypeAdapter(kind)
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
            return self.adapter.validate_python(value, strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            place = "".join(f" at {inner}" for inner in first["loc"])
            raise BadAnswer(
                f"{where}: {self.key} is not what the contract says", expected=f"{first['msg']}{place}",
                got=shown(value), remedy="compare the firmware with the contract: docs/http-api.md",
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


A = TypeVar("A", bound=Answer)

# ---- kinds of fields -----------------------------------------------------------------------------------


def real(low: float = -math.inf, high: float = math.inf, key: str = "") -> Field[float]:
    """A finite number."""
    return Field(Annotated[float, Bound(ge=low, le=high, allow_inf_nan=False)], key)


def whole(low: int = 0, high: int = UINT32, key: str = "") -> Field[int]:
    """A whole number; by default what fits uint32."""
    return Field(Annotated[int, Bound(ge=low, le=high)], key)


def text(key: str = "") -> Field[str]:
    """Text."""
    return Field(str, key)


def flag(key: str = "") -> Field[bool]:
    """true or false."""
    return Field(bool, key)


def maybe(field: Field[T]) -> Field[T | None]:
    """The same field, None where it is not there."""
    return Field(field.kind | None, field.key, need=False)


def part(kind: type[A], key: str = "") -> Field[Any]:
    """A JSON object inside the answer, as ``kind``."""
    return Field(_object(kind), key)


def rows(kind: type[A], key: str = "") -> Field[tuple[A, ...]]:
    """A list of JSON objects, each as ``kind``."""
    return Field(_list(_object(kind)), key)


def reals(key: str = "") -> Field[tuple[float, ...]]:
    """A list of finite numbers."""
    return Field(_list(FiniteFloat), key)


def colours(key: str = "") -> Field[tuple[str, ...]]:
    """A list of ``RRGGBB``."""
    return Field(_list(Annotated[str, StringConstraints(pattern="^[0-9A-Fa-f]{6}$", to_upper=True)]), key)


def _object(kind: type[A]) -> Any:
    return Annotated[dict[str, Any], AfterValidator(lambda body: kind.of(kind.__name__, body))]


def _list(kind: Any) -> Any:
    return Annotated[list[kind], AfterValidator(tuple)]
