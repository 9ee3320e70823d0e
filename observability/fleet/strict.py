"""A mapping read from a file -> a frozen dataclass, strictly.

The dataclass is the schema: its fields are the allowed keys, its annotations their types, its
defaults what may be left out. Every error names the place in the file.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import types
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from traces.errors import SpecError, WhenceError

Value = TypeVar("Value")

_DURATION = re.compile(r"(\d+)\s*(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PLAIN = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    datetime: "an instant such as 2020-01-01T00:00:00Z",
    date: "a date such as 2015-01-31",
}


def read(cls: type[Value], given: object, where: str) -> Value:
    """The mapping `given` as a `cls`; `where` is its place in the file, for errors.

    Raises SpecError for an unknown or missing key and for a value of another type.
    """
    if not isinstance(given, Mapping):
        raise SpecError(f"{_shown(given)} as {where}", "a mapping of keys to values")
    fields = {field.name: field for field in dataclasses.fields(cls)}  # pyright: ignore[reportArgumentType]
    for key in given:
        if key not in fields:
            raise SpecError(
                f"unknown key {key!r} in {where}", one_of(fields), closest(str(key), fields)
            )
    for name, field in fields.items():
        if name not in given and _required(field):
            raise SpecError(f"no key {name!r} in {where}", f"{name}: ...")
    hints = get_type_hints(cls)
    values = {
        str(key): _convert(hints[key], value, f"{where}.{key}") for key, value in given.items()
    }
    try:
        return cls(**values)
    except SpecError:
        raise
    except WhenceError as error:
        raise SpecError(f"{error.found} in {where}", error.expected, error.hint) from error


def one_of(names: Iterable[str]) -> str:
    """The expectation that lists what is allowed.

    >>> one_of(["fly", "ground"])
    'one of fly, ground'
    """
    return "one of " + ", ".join(names)


def closest(given: str, names: Iterable[str]) -> str:
    """A hint towards the name that was probably meant; empty where none is near.

    >>> closest("gatez", ["gates", "model"])
    'did you mean gates?'
    """
    near = difflib.get_close_matches(given, list(names), n=1)
    return f"did you mean {near[0]}?" if near else ""


def duration(text: str, where: str) -> timedelta:
    """A length of time such as 90s, 10m, 1h or 2d. Raises SpecError naming `where`.

    >>> duration("90m", "time.every")
    datetime.timedelta(seconds=5400)
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise SpecError(f"{text!r} as {where}", "a length of time such as 90s, 10m, 1h or 2d")
    return timedelta(seconds=int(match[1]) * _SECONDS[match[2]])


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _convert(kind: Any, value: object, where: str) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        kinds = [option for option in get_args(kind) if option is not type(None)]
        return _convert(kinds[0], value, where)
    if origin is tuple:
        return _convert_list(get_args(kind)[0], value, where)
    if origin in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise SpecError(f"{_shown(value)} as {where}", "a mapping of keys to values")
        inner = get_args(kind)[1]
        return {str(key): _convert(inner, item, f"{where}.{key}") for key, item in value.items()}
    if dataclasses.is_dataclass(kind):
        return read(kind, value, where)  # pyright: ignore[reportArgumentType]
    return _convert_plain(kind, value, where)


def _convert_list(inner: Any, value: object, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise SpecError(f"{_shown(value)} as {where}", "a list")
    return tuple(_convert(inner, item, f"{where}[{at}]") for at, item in enumerate(value))


def _convert_plain(kind: Any, value: object, where: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    # bool is an int and datetime a date in Python, but not in a file that a person wrote.
    if type(value) is not kind:
        hint = "put it in quotes" if kind is str else ""
        raise SpecError(f"{_shown(value)} as {where}", _PLAIN[kind], hint)
    return value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
