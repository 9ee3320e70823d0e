"""What one request and one span may ask of the receiver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from traces.errors import InvalidSpan

_YEAR_2200_NS = 7_258_118_400 * 10**9


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes are before (`body`) and after decompression (`message`); the queue counts the latter.

    `answer_s` is how long a request waits for its commit: then its sender is asked to come again.
    """

    body_bytes: int = 16 << 20
    message_bytes: int = 64 << 20
    queue_bytes: int = 256 << 20
    spans_per_request: int = 50_000
    attributes_per_span: int = 1024
    name_bytes: int = 4096
    value_bytes: int = 65_536
    items_per_value: int = 8192
    nesting: int = 8
    answer_s: float = 30.0


def check_times(start_unix_nano: int, end_unix_nano: int) -> None:
    """Raise InvalidSpan unless the times lie between 1970 and 2200 and in their order."""
    for name, value in (("start", start_unix_nano), ("end", end_unix_nano)):
        if not 0 < value < _YEAR_2200_NS:
            raise InvalidSpan(f"{value} ns as {name} time", "one between 1970 and 2200 UTC")
    if end_unix_nano < start_unix_nano:
        raise InvalidSpan(
            f"an end {start_unix_nano - end_unix_nano} ns before the start", "end >= start"
        )


def check_count(limits: Limits, attributes: Mapping[str, Any]) -> None:
    """Raise InvalidSpan where there are too many attributes."""
    if len(attributes) > limits.attributes_per_span:
        raise InvalidSpan(f"{len(attributes)} attributes", f"at most {limits.attributes_per_span}")


def check_attributes(limits: Limits, attributes: Mapping[str, Any]) -> None:
    """Raise InvalidSpan where there are too many attributes or one is too large or deep."""
    check_count(limits, attributes)
    for name, value in attributes.items():
        _check_name(limits, name)
        _check_value(limits, name, value, limits.nesting)


def _check_value(limits: Limits, name: str, value: Any, depth: int) -> None:
    if isinstance(value, str | bytes):
        if len(value) > limits.value_bytes:
            raise InvalidSpan(f"{len(value)} bytes in {name[:80]}", f"at most {limits.value_bytes}")
    elif isinstance(value, list | dict):
        if depth == 0:
            raise InvalidSpan(f"too many levels in {name[:80]}", f"at most {limits.nesting}")
        if len(value) > limits.items_per_value:
            raise InvalidSpan(
                f"{len(value)} items in {name[:80]}", f"at most {limits.items_per_value}"
            )
        names, items = (value, list(value.values())) if isinstance(value, dict) else ((), value)
        for key in names:
            _check_name(limits, key)
        types = set(map(type, items))
        if types <= {float, int} or (types == {str} and max(map(len, items)) <= limits.value_bytes):
            return
        for item in items:
            _check_value(limits, name, item, depth - 1)


def _check_name(limits: Limits, name: str) -> None:
    if len(name) > limits.name_bytes:
        raise InvalidSpan(f"a name of {len(name)} bytes", f"at most {limits.name_bytes}")
