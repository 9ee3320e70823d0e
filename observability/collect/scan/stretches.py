"""Stretches of a buffer as Arrow arrays: texts, bytes, doubles and lists of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from observability.collect.scan.attributes import AFTER, ITEMS, KIND, VALUE
from observability.collect.scan.compiled import compiled, compiled_in_place
from observability.collect.scan.memory import copy_memory
from observability.collect.scan.names import INTEGER, NUMBER_LIST
from observability.collect.scan.wire import content, fixed, varint


def text_array(buf: np.ndarray, starts: Any, lengths: Any, given: Any = None) -> pa.Array:
    """The texts at these places; null where not `given`."""
    bounds, data = gathered(buf, starts, lengths)
    return from_bounds(pa.utf8(), bounds, data, given)


def from_bounds(kind: pa.DataType, bounds: Any, data: Any, given: Any = None) -> pa.Array:
    """Texts or bytes that lie one behind the other; null where not `given`."""
    buffers = [
        _validity(given),
        pa.py_buffer(bounds.astype(np.int32, copy=False)),
        pa.py_buffer(data),
    ]
    return pa.Array.from_buffers(kind, len(bounds) - 1, buffers)


def number_array(kind: pa.DataType, values: np.ndarray, given: Any = None) -> pa.Array:
    """Numbers of eight bytes; null where not `given`."""
    values = np.ascontiguousarray(values)
    return pa.Array.from_buffers(kind, len(values), [_validity(given), pa.py_buffer(values)])


def list_array(kind: pa.ListType, bounds: Any, items: pa.Array) -> pa.Array:
    """Lists whose items lie one behind the other."""
    bounds = pa.py_buffer(bounds.astype(np.int32, copy=False))
    offsets = pa.Array.from_buffers(pa.int32(), len(bounds) // 4, [None, bounds])
    return pa.ListArray.from_arrays(offsets, items, type=kind)


def _validity(given: Any) -> pa.Buffer | None:
    if given is None or given.all():
        return None
    return pa.py_buffer(np.packbits(given, bitorder="little"))


@compiled
def gathered(buf: Any, starts: Any, lengths: Any) -> tuple[Any, Any]:
    """Stretches of `buf` copied one behind the other, with their bounds."""
    bounds = np.zeros(len(starts) + 1, np.int32)
    for index in range(len(starts)):
        bounds[index + 1] = bounds[index] + lengths[index]
    data = np.empty(bounds[-1], np.uint8)
    for index in range(len(starts)):
        copy_memory(
            data.ctypes.data + bounds[index], buf.ctypes.data + starts[index], lengths[index]
        )
    return bounds, data


@compiled
def numbers(buf: Any, attributes: Any, places: Any) -> Any:
    """The scalar number of each attribute as a double; NaN where the place is 0."""
    out = np.full(len(places), np.nan, np.float64)
    for index in range(len(places)):
        row = attributes[places[index]]
        if places[index] > 0:
            if row[KIND] == INTEGER:
                out[index] = varint(buf, row[VALUE], row[AFTER])[0]
            else:
                out[index] = _float(fixed(buf, row[VALUE], 8))
    return out


@compiled
def integers(buf: Any, attributes: Any, places: Any) -> Any:
    """The integer of each attribute; 0 where the place is 0."""
    out = np.zeros(len(places), np.int64)
    for index in range(len(places)):
        row = attributes[places[index]]
        if places[index] > 0:
            out[index] = varint(buf, row[VALUE], row[AFTER])[0]
    return out


@compiled
def list_bounds(attributes: Any, places: Any) -> Any:
    """Where the items of each list begin and end among all of them."""
    bounds = np.zeros(len(places) + 1, np.int32)
    for index in range(len(places)):
        bounds[index + 1] = bounds[index] + attributes[places[index], ITEMS]
    return bounds


@compiled
def text_items(buf: Any, attributes: Any, places: Any, count: int) -> tuple[Any, Any]:
    """Where the texts in these lists begin, and how long they are."""
    starts, lengths = np.empty(count, np.int32), np.empty(count, np.int32)
    at = 0
    for place in places:
        if place > 0:
            pos, end = attributes[place, VALUE], attributes[place, AFTER]
            while pos < end:
                start, pos = content(buf, pos + 1, end)
                first, last = content(buf, start + 1, pos)
                starts[at], lengths[at] = first, last - first
                at += 1
    return starts, lengths


@compiled
def number_items(buf: Any, attributes: Any, places: Any, count: int) -> Any:
    """The numbers in these lists, as doubles."""
    out = np.empty(count, np.float64)
    at = 0
    for place in places:
        if place > 0 and attributes[place, KIND] == NUMBER_LIST:
            pos, end = attributes[place, VALUE], attributes[place, AFTER]
            while pos < end:
                start, pos = content(buf, pos + 1, end)
                if buf[start] == 0x18:
                    out[at] = varint(buf, start + 1, pos)[0]
                else:
                    out[at] = _float(fixed(buf, start + 1, 8))
                at += 1
    return out


@compiled_in_place
def _float(bits: int) -> float:
    return np.int64(bits).view(np.float64)
