"""Values taken off a span's attributes, each of the type that it must have.

Every function raises InvalidSpan, with what was found and what was expected, where it has another.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from traces.errors import InvalidSpan

Attributes = dict[str, Any]
"""Attribute values as Python values: str, bool, int, float, bytes, None, list or dict of them."""


def take_text(left: Attributes, name: str) -> str:
    """Take a text that is not empty."""
    value = left.pop(name, None)
    if not isinstance(value, str) or not value:
        raise InvalidSpan(f"{name} = {value!r}", "a text that is not empty")
    return value


def take_hex(left: Attributes, name: str, length: int) -> str:
    """Take that many hex digits, as lower case."""
    value = take_text(left, name).lower()
    if len(value) != length or any(digit not in "0123456789abcdef" for digit in value):
        raise InvalidSpan(f"{name} = {value!r}", f"{length} hex digits")
    return value


def take_number(left: Attributes, name: str) -> float | None:
    """Take a double; None where there is none."""
    return number(name, left.pop(name)) if name in left else None


def take_amount(left: Attributes, name: str) -> float | None:
    """Take a number that a double holds exactly; anything else stays where it is."""
    value = left.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int) and int(float(value)) != value:
        return None
    del left[name]
    return float(value)


def take_count(left: Attributes, name: str) -> int | None:
    """Take an int from 0 on; anything else stays where it is."""
    value = left.get(name)
    if type(value) is not int or value < 0:
        return None
    del left[name]
    return value


def take_flag(left: Attributes, name: str) -> bool | None:
    """Take a boolean; None where there is none."""
    value = left.pop(name, None)
    if value is not None and not isinstance(value, bool):
        raise InvalidSpan(f"{name} = {value!r}", "a boolean")
    return value


def take_columns(
    left: Attributes, readers: Mapping[str, Any], *, distinct: bool = True
) -> list[list[Any]]:
    """Take synchronised arrays, each by its reader; all absent is all empty.

    The first one holds the names, which are `distinct` unless said otherwise.
    """
    arrays = {name: left.pop(name, None) for name in readers}
    if all(array is None for array in arrays.values()):
        return [[] for _ in readers]
    parsed = [
        read(name, arrays[name] if arrays[name] is not None else [])
        for name, read in readers.items()
    ]
    if len({len(array) for array in parsed}) > 1:
        found = ", ".join(
            f"{len(array)} {name}" for name, array in zip(readers, parsed, strict=True)
        )
        raise InvalidSpan(found, "arrays of one length")
    names = parsed[0]
    if distinct and len(set(names)) != len(names):
        raise InvalidSpan(f"a name twice in {next(iter(readers))}", "each input once")
    return parsed


def one_of(allowed: Iterable[str], name: str, value: object) -> str:
    """The value, if it is one of those allowed."""
    if not isinstance(value, str) or value not in allowed:
        raise InvalidSpan(f"{name} = {value!r}", "one of " + ", ".join(allowed))
    return value


def sequence(name: str, value: object) -> Sequence[Any]:
    """The value, if it is an array."""
    if not isinstance(value, list | tuple):
        raise InvalidSpan(f"{name} = {value!r}", "an array")
    return value


def texts(name: str, value: object) -> list[str]:
    """An array of strings."""
    items = list(sequence(name, value))
    if set(map(type, items)) <= {str}:
        return items
    raise InvalidSpan(f"{value!r:.80} in {name}", "an array of strings")


def numbers(name: str, value: object) -> list[float]:
    """An array of doubles."""
    items = list(sequence(name, value))
    if set(map(type, items)) <= {float}:
        return items
    return [number(name, item) for item in items]


def number(name: str, value: object) -> float:
    """A double; null is NaN, since JSON exporters write NaN so."""
    if value is None:
        return math.nan
    if not isinstance(value, bool | int | float):
        raise InvalidSpan(f"{value!r:.80} in {name}", "a number")
    return float(value)
