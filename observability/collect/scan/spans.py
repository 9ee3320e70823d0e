"""Spans off the wire: their own fields, and their attributes in one flat table.

Says of each span whether it is plain so far: whether nothing in it needs the library.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from observability.collect.scan.attributes import MOST_ATTRIBUTES, attribute
from observability.collect.scan.compiled import compiled, compiled_in_place
from observability.collect.scan.outline import START, STOP
from observability.collect.scan.wire import content, fixed, is_text, varint

(
    TRACE, TRACE_BYTES, SPAN, SPAN_BYTES, PARENT, PARENT_BYTES, NAME, NAME_LENGTH,
    KIND, STARTED, ENDED, FLAGS, STATUS, FIRST, LAST,
) = range(15)  # fmt: skip
"""Columns of a span's fields. FIRST to LAST are its attributes; STATUS is whether it is given."""
_YEAR_2200_NS = 7_258_118_400 * 10**9


_TRACE_ID, _SPAN_ID, _STATE, _PARENT, _NAME, _KIND = 0x0A, 0x12, 0x1A, 0x22, 0x2A, 0x30
_START, _END, _ATTRIBUTE, _STATUS, _FLAGS = 0x39, 0x41, 0x4A, 0x7A, 0x85
_DROPPED = (0x50, 0x60, 0x70)


@compiled
def read_spans(buf: Any, spans: Any, limits: Any) -> Any:
    """Fields and attributes of spans, and which of them are plain so far."""
    fields = np.zeros((len(spans), 15), np.int64)
    plain = np.zeros(len(spans), np.bool_)
    # A plain attribute takes nine bytes or more; untouched memory costs nothing.
    attributes = np.empty((len(buf) // 9 + 2, 9), np.int32)
    attributes[0, :] = 0
    count, last = 1, 0
    for index in range(len(spans)):
        row = fields[index]
        row[FIRST] = row[LAST] = count
        start, stop = spans[index, START], spans[index, STOP]
        plain[index] = _span(buf, start, stop, row, attributes, last, limits) and _is_sound(
            buf, row
        )
        if plain[index]:
            last, count = row[FIRST], row[LAST]
        else:
            row[LAST] = row[FIRST]
    return fields, attributes[:count], plain


@compiled_in_place
def _span(
    buf: Any, pos: int, end: int, row: Any, attributes: Any, before: int, limits: Any
) -> bool:
    """Read one span; the attributes from `before` to its own are those of the plain one before it."""
    first = row[FIRST]
    while pos < end:
        tag = buf[pos]
        if tag == _ATTRIBUTE:
            at = pos
            start, pos = content(buf, pos + 1, end)
            count = row[LAST] - first
            if start < 0 or count >= limits[MOST_ATTRIBUTES] or row[LAST] >= len(attributes):
                return False
            like = attributes[before + count if before + count < first else 0]
            if not attribute(buf, at, pos, attributes[row[LAST]], like, limits):
                return False
            row[LAST] += 1
        else:
            pos = _field(buf, tag, pos, end, row)
            if pos < 0:
                return False
    return True


@compiled_in_place
def _field(buf: Any, tag: int, pos: int, end: int, row: Any) -> int:
    """Read any other field; returns where it ends, -1 where it is not plain."""
    if tag in (_START, _END):
        if pos + 9 > end:
            return -1
        row[STARTED if tag == _START else ENDED] = fixed(buf, pos + 1, 8)
        return pos + 9
    if tag == _FLAGS:
        if pos + 6 > end or buf[pos + 1] != 1:
            return -1
        row[FLAGS] = fixed(buf, pos + 2, 4)
        return pos + 6
    if tag == _KIND or tag == _DROPPED[0] or tag == _DROPPED[1] or tag == _DROPPED[2]:
        value, stop = varint(buf, pos + 1, end)
        if stop < 0 or value < 0 or value > (127 if tag == _KIND else 0):
            return -1
        row[KIND] = value if tag == _KIND else row[KIND]
        return stop
    start, stop = content(buf, pos + 1, end)
    if start < 0:
        return -1
    return stop if _stretch(buf, tag, start, stop, row) else -1


@compiled_in_place
def _stretch(buf: Any, tag: int, start: int, stop: int, row: Any) -> bool:
    length = stop - start
    if tag == _TRACE_ID:
        row[TRACE], row[TRACE_BYTES] = start, length
    elif tag == _SPAN_ID:
        row[SPAN], row[SPAN_BYTES] = start, length
    elif tag == _PARENT:
        row[PARENT], row[PARENT_BYTES] = start, length
    elif tag == _NAME:
        row[NAME], row[NAME_LENGTH] = start, length
        return is_text(buf, start, stop)
    elif tag == _STATUS:
        row[STATUS] = 1
        return length == 0
    else:
        return tag == _STATE and length == 0
    return True


@compiled_in_place
def _is_sound(buf: Any, row: Any) -> bool:
    """Whether ids and times are as they have to be."""
    if row[TRACE_BYTES] != 16 or row[SPAN_BYTES] != 8:
        return False
    trace = fixed(buf, row[TRACE], 8) | fixed(buf, row[TRACE] + 8, 8)
    if trace == 0 or fixed(buf, row[SPAN], 8) == 0:
        return False
    return 0 < row[STARTED] <= row[ENDED] < _YEAR_2200_NS
