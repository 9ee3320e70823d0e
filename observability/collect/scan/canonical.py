"""What a span's digest covers, byte for byte as traces/chain.py writes it, and what its row's `rest` is.

Both are written for many spans into one buffer each.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from observability.collect.scan import names
from observability.collect.scan.attributes import (
    AFTER,
    AT,
    ITEMS,
    KEY,
    KEY_LENGTH,
    KIND,
    LENGTH,
    NAME_ID,
    VALUE,
)
from observability.collect.scan.compiled import compiled, compiled_in_place
from observability.collect.scan.memory import copy_memory, store_big_endian
from observability.collect.scan.spans import (
    ENDED,
    FIRST,
    FLAGS,
    LAST,
    NAME,
    NAME_LENGTH,
    PARENT,
    PARENT_BYTES,
    SPAN,
    STARTED,
    STATUS,
    TRACE,
)
from observability.collect.scan.spans import KIND as SPAN_KIND
from observability.collect.scan.wire import content, fixed, varint
from traces.chain import DOMAIN

_EXACT = 2**53
_NAN = np.int64(0x7FF8000000000000)
_DOMAIN = np.frombuffer(DOMAIN, np.uint8).copy()
_INFINITY_BITS = np.int64(0x7FF0000000000000)
_MANTISSA = np.int64(0x7FFFFFFFFFFFFFFF)


@compiled
def digested(buf: Any, fields: Any, attributes: Any, sorted_: Any, chosen: Any) -> tuple[Any, Any]:
    """The bytes that the digests of the chosen spans cover, joined, and their bounds."""
    out = np.empty(2 * len(buf) + 128 * len(chosen), np.uint8)
    bounds = np.zeros(len(chosen) + 1, np.int64)
    at = 0
    for number in range(len(chosen)):
        row = fields[chosen[number]]
        at = _copy(_DOMAIN, 0, len(_DOMAIN), out, at)
        at = _copy(buf, row[TRACE], 16, out, at)
        at = _copy(buf, row[SPAN], 8, out, at)
        at = _text(buf, row[NAME], row[NAME_LENGTH], out, at)
        at = _big_endian(row[STARTED], 8, out, at)
        at = _big_endian(row[ENDED], 8, out, at)
        for position in range(row[FIRST], row[LAST]):
            attribute = attributes[sorted_[position]]
            name = attribute[NAME_ID]
            if name != names.CHAIN_ID and name != names.CHAIN_SEQ and name != names.CHAIN_PREV:
                at = _text(buf, attribute[KEY], attribute[KEY_LENGTH], out, at)
                at = _value(buf, attribute, out, at)
        bounds[number + 1] = at
    return out[:at], bounds


@compiled
def rests(buf: Any, fields: Any, attributes: Any, chosen: Any) -> tuple[Any, Any]:
    """The chosen spans less what the columns hold, as the library writes them, joined; and their bounds."""
    out = np.empty(len(buf) + 16, np.uint8)
    bounds = np.zeros(len(chosen) + 1, np.int32)
    at = 0
    for number in range(len(chosen)):
        row = fields[chosen[number]]
        if row[PARENT_BYTES] > 0:
            out[at] = 0x22
            at = _varint(row[PARENT_BYTES], out, at + 1)
            at = _copy(buf, row[PARENT], row[PARENT_BYTES], out, at)
        if row[SPAN_KIND] > 0:
            out[at], out[at + 1] = 0x30, row[SPAN_KIND]
            at += 2
        for place in range(row[FIRST], row[LAST]):
            attribute = attributes[place]
            if _is_kept(attribute):
                at = _copy(buf, attribute[AT], attribute[AFTER] - attribute[AT], out, at)
        if row[STATUS] > 0:
            out[at], out[at + 1] = 0x7A, 0
            at += 2
        if row[FLAGS] > 0:
            out[at], out[at + 1] = 0x85, 0x01
            for index in range(4):
                out[at + 2 + index] = (row[FLAGS] >> (8 * index)) & 255
            at += 6
        bounds[number + 1] = at
    return out[:at], bounds


@compiled_in_place
def _is_kept(attribute: Any) -> bool:
    name = attribute[NAME_ID]
    if name < len(names.KNOWN):
        return not names.IN_COLUMNS[name]
    return name == names.EXTRA or attribute[KIND] != names.TEXT


@compiled_in_place
def _value(buf: Any, attribute: Any, out: Any, at: int) -> int:
    kind, start = attribute[KIND], attribute[VALUE]
    if kind == names.TEXT:
        return _text(buf, start, attribute[LENGTH], out, at)
    if kind == names.FLAG:
        out[at], out[at + 1] = 0x62, buf[start]
        return at + 2
    if kind == names.INTEGER:
        value = varint(buf, start, attribute[AFTER])[0]
        if -_EXACT <= value <= _EXACT:
            out[at] = 0x64
            return _double(_bits(value), out, at + 1)
        out[at] = 0x69
        return _big_endian(value, 8, out, at + 1)
    if kind == names.DOUBLE:
        out[at] = 0x64
        return _double(fixed(buf, start, 8), out, at + 1)
    out[at] = 0x61 if kind == names.TEXT_LIST else 0x6E
    at = _big_endian(attribute[ITEMS], 4, out, at + 1)
    return _items(buf, start, attribute[AFTER], out, at)


@compiled_in_place
def _items(buf: Any, pos: int, end: int, out: Any, at: int) -> int:
    while pos < end:
        start, pos = content(buf, pos + 1, end)
        if buf[start] == 0x0A:
            first, last = content(buf, start + 1, pos)
            at = _text(buf, first, last - first, out, at)
        elif buf[start] == 0x18:
            at = _double(_bits(varint(buf, start + 1, pos)[0]), out, at)
        else:
            at = _double(fixed(buf, start + 1, 8), out, at)
    return at


@compiled_in_place
def _bits(value: int) -> Any:
    return np.float64(value).view(np.int64)


@compiled_in_place
def _double(bits: Any, out: Any, at: int) -> int:
    """Every NaN of one pattern, and every zero."""
    magnitude = bits & _MANTISSA
    if magnitude > _INFINITY_BITS:
        bits = _NAN
    elif magnitude == 0:
        bits = np.int64(0)
    return _big_endian(bits, 8, out, at)


@compiled_in_place
def _text(buf: Any, start: int, length: int, out: Any, at: int) -> int:
    out[at] = 0x73
    at = _big_endian(length, 4, out, at + 1)
    return _copy(buf, start, length, out, at)


@compiled_in_place
def _big_endian(value: int, size: int, out: Any, at: int) -> int:
    if size == 8:
        store_big_endian(out.ctypes.data + at, np.int64(value))
        return at + 8
    for index in range(size):
        out[at + index] = (np.int64(value) >> np.int64(8 * (size - 1 - index))) & 255
    return at + size


@compiled_in_place
def _varint(value: int, out: Any, at: int) -> int:
    while value > 127:
        out[at] = (value & 127) | 128
        value >>= 7
        at += 1
    out[at] = value
    return at + 1


@compiled_in_place
def _copy(source: Any, start: int, length: int, out: Any, at: int) -> int:
    copy_memory(out.ctypes.data + at, source.ctypes.data + start, length)
    return at + length
