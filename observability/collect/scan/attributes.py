"""One attribute off the wire: which name, what kind of value, and where it lies.

Only what is plain is read: a name, then one value, text, flag, number or a list of texts or of numbers.
"""

from __future__ import annotations

from typing import Any

from observability.collect.scan import names
from observability.collect.scan.compiled import compiled_in_place
from observability.collect.scan.wire import (
    content,
    is_text,
    one_of,
    same,
    starts_with,
    varint,
)

KEY, KEY_LENGTH, NAME_ID, KIND, VALUE, LENGTH, ITEMS, AT, AFTER = range(9)
"""Columns of an attribute. VALUE is where a text's bytes, a flag, a varint, a double or a list's items
begin; AT and AFTER bound the whole attribute, its tag included."""
NAME_BYTES, VALUE_BYTES, MOST_ITEMS, MOST_ATTRIBUTES = range(4)
"""Columns of the limits."""
_EXACT = 2**53
_KEY, _VALUE, _TEXT, _FLAG, _INTEGER, _DOUBLE, _LIST = 0x0A, 0x12, 0x0A, 0x10, 0x18, 0x21, 0x2A


@compiled_in_place
def attribute(buf: Any, at: int, stop: int, row: Any, like: Any, limits: Any) -> bool:
    """Read the attribute between `at` (its tag) and `stop` into `row`; False where it is not plain.

    `like` is one that it may repeat, byte for byte or in its name.
    """
    length = stop - at
    if like[AFTER] - like[AT] == length and same(buf, like[AT], at, length):
        for column in range(len(row)):  # a slice would be copied twice
            row[column] = like[column]
        shift = at - like[AT]
        row[KEY] += shift
        row[VALUE] += shift
        row[AT], row[AFTER] = at, stop
        return True
    row[AT], row[AFTER] = at, stop
    _, start = varint(buf, at + 1, stop)
    if start >= stop or buf[start] != _KEY:
        return False
    key, key_stop = content(buf, start + 1, stop)
    if key < 0 or key == key_stop or key_stop >= stop or buf[key_stop] != _VALUE:
        return False
    value, value_stop = content(buf, key_stop + 1, stop)
    if value < 0 or value_stop != stop or value == value_stop:
        return False
    return _name(buf, key, key_stop, row, like, limits) and _value(buf, value, stop, row, limits)


@compiled_in_place
def _name(buf: Any, key: int, stop: int, row: Any, like: Any, limits: Any) -> bool:
    length = stop - key
    row[KEY], row[KEY_LENGTH] = key, length
    if like[KEY_LENGTH] == length and same(buf, like[KEY], key, length):
        row[NAME_ID] = like[NAME_ID]
        return True
    if length > limits[NAME_BYTES] or not is_text(buf, key, stop):
        return False
    found = one_of(buf, key, length, names.NAMES, names.NAME_BOUNDS)
    row[NAME_ID] = found if found >= 0 else _unknown(buf, key, length)
    return row[NAME_ID] >= 0


@compiled_in_place
def _unknown(buf: Any, key: int, length: int) -> int:
    """The id of a name that is not known; -1 where it may mean what a known one does."""
    if starts_with(buf, key, length, names.INPUT_MARK):
        return -1
    if starts_with(buf, key, length, names.CHAIN_MARK):
        return -1
    if _is_reused(buf, key, length):
        return names.REUSED
    skip = len(names.CONTEXT_MARK)
    if length > skip and starts_with(buf, key, length, names.CONTEXT_MARK):
        nested = _is_reused(buf, key + skip, length - skip)
        return names.EXTRA if nested else names.CONTEXT
    return names.EXTRA


@compiled_in_place
def _is_reused(buf: Any, key: int, length: int) -> bool:
    return (
        starts_with(buf, key, length, names.REUSED_A)
        or starts_with(buf, key, length, names.REUSED_B)
        or starts_with(buf, key, length, names.REUSED_C)
    )


@compiled_in_place
def _value(buf: Any, pos: int, stop: int, row: Any, limits: Any) -> bool:
    tag = buf[pos]
    row[ITEMS] = 0
    row[VALUE], row[LENGTH] = pos + 1, stop - pos - 1
    if tag == _TEXT:
        return _text(buf, pos, stop, row, limits)
    if tag == _FLAG:
        row[KIND] = names.FLAG
        return stop - pos == 2 and buf[pos + 1] < 2
    if tag == _INTEGER:
        row[KIND] = names.INTEGER
        return varint(buf, pos + 1, stop)[1] == stop
    if tag == _DOUBLE:
        row[KIND] = names.DOUBLE
        return stop - pos == 9
    if tag == _LIST:
        first, end = content(buf, pos + 1, stop)
        if first < 0 or end != stop or first == end:
            return False
        row[VALUE], row[LENGTH] = first, end - first
        return _list(buf, first, end, row, limits)
    return False


@compiled_in_place
def _text(buf: Any, pos: int, stop: int, row: Any, limits: Any) -> bool:
    start, end = content(buf, pos + 1, stop)
    row[KIND], row[VALUE], row[LENGTH] = names.TEXT, start, end - start
    return (
        start >= 0
        and end == stop
        and end - start <= limits[VALUE_BYTES]
        and is_text(buf, start, end)
    )


@compiled_in_place
def _list(buf: Any, pos: int, end: int, row: Any, limits: Any) -> bool:
    """Items that are all texts, or all numbers that a double holds exactly."""
    kind = names.NUMBER_LIST
    items = 0
    while pos < end:
        if buf[pos] != _KEY:
            return False
        start, stop = content(buf, pos + 1, end)
        if start < 0 or start == stop:
            return False
        found = names.NUMBER_LIST
        if buf[start] == _TEXT:
            first, last = content(buf, start + 1, stop)
            found = names.TEXT_LIST
            plain = first >= 0 and last == stop and last - first <= limits[VALUE_BYTES]
            if not plain or not is_text(buf, first, last):
                return False
        elif buf[start] == _INTEGER:
            value, last = varint(buf, start + 1, stop)
            if last != stop or not -_EXACT <= value <= _EXACT:
                return False
        elif buf[start] != _DOUBLE or stop - start != 9:
            return False
        if items > 0 and found != kind:
            return False
        kind = found
        items += 1
        pos = stop
    row[KIND], row[ITEMS] = kind, items
    return items <= limits[MOST_ITEMS]
