"""Which layout each decision has, by the bytes of its type and of its inputs' names."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from opentelemetry.proto.common.v1.common_pb2 import ArrayValue

from observability.collect.scan import names
from observability.collect.scan.attributes import AFTER, AT, VALUE
from observability.collect.scan.compiled import compiled
from observability.collect.scan.scanned import Scanned
from observability.collect.scan.wire import same
from observability.store.records import Row, layout_row

_STATED_BY = np.array([names.TYPE, names.INPUT_NAMES, names.CATEGORICAL_NAMES])


def layouts_of(scanned: Scanned, chosen: np.ndarray) -> tuple[list[Row | None], np.ndarray]:
    """Layouts, None for one that names an input twice, and which of them each chosen span has."""
    buf, attributes = scanned.buf, scanned.attributes
    places = np.ascontiguousarray(scanned.slots[np.ix_(chosen, _STATED_BY)])
    runs = _runs(buf, attributes, places)
    found: list[Row | None] = []
    for head in np.flatnonzero(np.diff(runs, prepend=-1)):
        stated = (
            buf[attributes[place, VALUE] : attributes[place, AFTER]].tobytes() if place else b""
            for place in places[head]
        )
        found.append(_layout(*stated))
    return found, runs


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
def _runs(buf: Any, attributes: Any, places: Any) -> Any:
    """Numbers that grow by one where the layout differs from that of the span before."""
    runs = np.zeros(len(places), np.int32)
    for index in range(1, len(places)):
        runs[index] = runs[index - 1]
        for column in range(places.shape[1]):
            left, right = attributes[places[index - 1, column]], attributes[places[index, column]]
            length = left[AFTER] - left[AT]
            if right[AFTER] - right[AT] != length or not same(buf, left[AT], right[AT], length):
                runs[index] = runs[index - 1] + 1
    return runs
