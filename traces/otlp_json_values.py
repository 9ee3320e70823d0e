"""OTLP's JSON form of attribute values and of protobuf's scalar types.

Read leniently, as exporters write it, but nothing is cut to fit; written strictly.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterable
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from traces.otlp import value_of

_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_STANDARD_BASE64 = str.maketrans("-_", "+/")
_DEEPEST = 24
"""Nested values: well under what protobuf can write again."""


def attributes_from_json(owner: dict[str, Any]) -> list[KeyValue]:
    """The attributes of a JSON object. Raises what `int`, `float` and protobuf raise for a wrong value."""
    return _pairs(owner, "attributes")


def attributes_to_json(pairs: Iterable[KeyValue]) -> list[dict[str, Any]]:
    """The inverse of `attributes_from_json`; of a name given twice in a map the last holds."""
    return [{"key": pair.key, "value": _value_to_json(value_of(pair.value))} for pair in pairs]


def integer(value: Any) -> int:
    """An integer as number or text, absent as 0; what is none is refused rather than cut."""
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"{value!r} where an integer is meant")
    return int(value or 0)


def listed(owner: Any, key: str) -> list[Any]:
    """A repeated field, empty where absent. Raises TypeError where it is something else."""
    if not isinstance(owner, dict):
        raise TypeError(f"{key} is asked of {type(owner).__name__}, not of an object")
    items = owner.get(key) or []
    if not isinstance(items, list):
        raise TypeError(f"{key} is {type(items).__name__}, not an array")
    return items


def enum_number(value: int | str | None, by_name: Callable[[str], int]) -> int:
    """An enum given by name, number or number as text. Raises ValueError for an unknown name."""
    if isinstance(value, str) and not value.isdigit():
        return by_name(value)
    return integer(value)


def present(**fields: Any) -> dict[str, Any]:
    """The fields that are not empty: proto3 JSON leaves the others out."""
    return {name: value for name, value in fields.items() if value not in ("", 0, [], {}, None)}


def nanoseconds_text(unix_nano: int) -> str:
    """64-bit integers are text in proto3 JSON; an absent time is left out."""
    return str(unix_nano) if unix_nano else ""


def _value_from_json(item: dict[str, Any] | None, depth: int = _DEEPEST) -> AnyValue:
    """An absent or null value is an empty AnyValue: exporters write NaN so."""
    if depth == 0:
        raise ValueError(f"a value nested deeper than {_DEEPEST}")
    for key, value in (item or {}).items():
        if value is not None and key in _READERS:
            return _READERS[key](value, depth - 1)
    return AnyValue()


def _double(value: Any) -> float:
    return _NON_FINITE[value] if value in _NON_FINITE else float(value)


def _array(value: Any, depth: int) -> AnyValue:
    values = [_value_from_json(item, depth) for item in listed(value, "values")]
    return AnyValue(array_value=ArrayValue(values=values))


def _pairs(owner: Any, key: str, depth: int = _DEEPEST) -> list[KeyValue]:
    return [
        KeyValue(key=pair.get("key") or "", value=_value_from_json(pair.get("value"), depth))
        for pair in listed(owner, key)
    ]


def _kvlist(value: Any, depth: int) -> AnyValue:
    return AnyValue(kvlist_value=KeyValueList(values=_pairs(value, "values", depth)))


def _bytes(text: str) -> bytes:
    """Base64 in either alphabet, padded or not, as protobuf's JSON form allows."""
    standard = text.translate(_STANDARD_BASE64).rstrip("=")
    return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)


def _value_to_json(value: Any) -> dict[str, Any]:
    match value:
        case None:
            return {}
        case bool():
            return {"boolValue": value}
        case str():
            return {"stringValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value if math.isfinite(value) else _non_finite(value)}
        case bytes():
            return {"bytesValue": base64.b64encode(value).decode()}
        case list():
            return {"arrayValue": {"values": [_value_to_json(item) for item in value]}}
        case _:
            pairs = [{"key": key, "value": _value_to_json(item)} for key, item in value.items()]
            return {"kvlistValue": {"values": pairs}}


def _non_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


_READERS: dict[str, Callable[[Any, int], AnyValue]] = {
    "stringValue": lambda value, _: AnyValue(string_value=value),
    "boolValue": lambda value, _: AnyValue(bool_value=value),
    "intValue": lambda value, _: AnyValue(int_value=integer(value)),
    "doubleValue": lambda value, _: AnyValue(double_value=_double(value)),
    "bytesValue": lambda value, _: AnyValue(bytes_value=_bytes(value)),
    "arrayValue": _array,
    "kvlistValue": _kvlist,
}
