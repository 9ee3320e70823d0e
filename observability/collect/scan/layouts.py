"""Which layout each decision has, by the bytes of its type and of its inputs' names."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from opentelemetry.proto.common.v1.common_pb2 import ArrayValue

from observability.collect.scan import names
from observability.collect.scan.attributes import AFTER, AT, VALUE
from observability.collect.scan.compiled import compiled, compiled_in_place
from observability.collect.scan.scanned import Scanned
from observability.collect.scan.wire import same
from observability.store.records import Row, layout_row

_STATED_BY = np.array([names.TYPE, names.INPUT_NAMES, names.CATEGORICAL_NAMES])


def layouts_of(scanned: Scanned, chosen: np.ndarray) -> tuple[list[Row | None], np.ndarray]:
    """Layouts, None for one that names an input twice, and which of them each chosen span has."""
    buf, attributes = scanned.buf, scanned.attributes
    places = np.ascontiguousarray(scanned.slots[np.ix_(chosen, _STATED_BY)])
    numbers, heads = _numbered(buf, attributes, places)
    found: list[Row | None] = []
    for head in heads.tolist():
        stated = (
            buf[attributes[place, VALUE] : attributes[place, AFTER]].tobytes() if place else b""
            for place in places[head]
        )
        found.append(_layout(*stated))
    return found, numbers


@functools.lru_cache(maxsize=4096)
def _layout(decision_type: bytes, inputs: bytes, categoricals: bytes) -> Row | None:
    lists = [
        tuple(item.string_value for item in ArrayValue.FromString(each).values)
        for each in (inputs, categoricals)
    ]
    if any(len(set(each)) != len(each) for each in lists):
        return None
    return layout_row(decision_type.decode(), *lists)


@compiled
def _numbered(buf: Any, attributes: Any, places: Any) -> tuple[Any, Any]:
    """A number for each span, the same where type and names are; and the first span of each number."""
    size = 16
    while size < 2 * len(places):
        size *= 2
    table = np.full(size, -1, np.int32)
    numbers, heads = np.empty(len(places), np.int32), np.empty(len(places), np.int32)
    count = 0
    for index in range(len(places)):
        slot = _mixed(buf, attributes, places[index]) & (size - 1)
        while table[slot] >= 0 and not _are_same(
            buf, attributes, places[heads[table[slot]]], places[index]
        ):
            slot = (slot + 1) & (size - 1)
        if table[slot] < 0:
            table[slot] = count
            heads[count] = index
            count += 1
        numbers[index] = table[slot]
    return numbers, heads[:count]


@compiled_in_place
def _mixed(buf: Any, attributes: Any, places: Any) -> Any:
    """A hash of what usually tells layouts apart: their length and some of their bytes."""
    mixed = np.uint64(14695981039346656037)
    for column in range(len(places)):
        first, stop = attributes[places[column], AT], attributes[places[column], AFTER]
        mixed = (mixed ^ np.uint64(stop - first)) * np.uint64(1099511628211)
        for at in range(first, stop, 1 + (stop - first) // 16):
            mixed = (mixed ^ np.uint64(buf[at])) * np.uint64(1099511628211)
    return np.int64(mixed >> np.uint64(1))


@compiled_in_place
def _are_same(buf: Any, attributes: Any, left: Any, right: Any) -> bool:
    for column in range(len(left)):
        one, other = attributes[left[column]], attributes[right[column]]
        length = one[AFTER] - one[AT]
        if other[AFTER] - other[AT] != length or not same(buf, one[AT], other[AT], length):
            return False
    return True
