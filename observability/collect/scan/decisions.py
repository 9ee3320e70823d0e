"""Which spans are decisions that the columns reproduce, and where each known attribute of theirs is.

The meaning is the codec's; here it is only recognised that nothing but the plain reading is possible.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from observability.collect.scan import names
from observability.collect.scan.attributes import (
    AFTER,
    ITEMS,
    KEY,
    KEY_LENGTH,
    KIND,
    LENGTH,
    NAME_ID,
    VALUE,
)
from observability.collect.scan.compiled import compiled, compiled_in_place
from observability.collect.scan.spans import FIRST, LAST, NAME, NAME_LENGTH
from observability.collect.scan.wire import content, one_of, order, same, varint

_KNOWN = len(names.KNOWN)
_EXACT = 2**53
_PREFIX = np.frombuffer(b"decision ", np.uint8).copy()


@compiled
def find_decisions(buf: Any, fields: Any, attributes: Any, plain: Any) -> Any:
    """For each span the place of each known attribute (0 for none), and its attributes in the order of names.

    Takes `plain` from what is no decision, or one that the columns do not reproduce.
    """
    slots = np.zeros((len(fields), _KNOWN), np.int32)
    sorted_ = np.empty(len(attributes), np.int32)
    before = -1
    for index in range(len(fields)):
        if not plain[index]:
            continue
        first, last = fields[index, FIRST], fields[index, LAST]
        _sort(buf, attributes, first, last, sorted_, fields, before)
        plain[index] = (
            _place(attributes, first, last, slots[index])
            and not _has_twice(buf, attributes, sorted_[first:last])
            and _is_plain(buf, fields[index], attributes, slots[index])
        )
        before = index
    return slots, sorted_


@compiled_in_place
def _sort(
    buf: Any, attributes: Any, first: int, last: int, sorted_: Any, fields: Any, before: int
) -> None:
    """Sort by name, starting from the order of the span before, which is nearly always the same."""
    if before >= 0 and fields[before, LAST] - fields[before, FIRST] == last - first:
        shift = first - fields[before, FIRST]
        for position in range(first, last):
            sorted_[position] = sorted_[position - shift] + shift
    else:
        for position in range(first, last):
            sorted_[position] = position
    for position in range(first + 1, last):
        moved = sorted_[position]
        place = position
        while place > first and _order(buf, attributes[sorted_[place - 1]], attributes[moved]) > 0:
            sorted_[place] = sorted_[place - 1]
            place -= 1
        sorted_[place] = moved


@compiled_in_place
def _order(buf: Any, left: Any, right: Any) -> int:
    return order(buf, left[KEY], left[KEY_LENGTH], right[KEY], right[KEY_LENGTH])


@compiled_in_place
def _has_twice(buf: Any, attributes: Any, in_order: Any) -> bool:
    for position in range(1, len(in_order)):
        if _order(buf, attributes[in_order[position - 1]], attributes[in_order[position]]) == 0:
            return True
    return False


@compiled_in_place
def _place(attributes: Any, first: int, last: int, slots: Any) -> bool:
    """Note where the known attributes are; False where one has another kind of value than it must."""
    for place in range(first, last):
        row = attributes[place]
        name = row[NAME_ID]
        if name < _KNOWN:
            slots[name] = place
            wanted = names.KIND_OF[name]
            if row[KIND] != wanted and not (wanted == names.DOUBLE and row[KIND] == names.INTEGER):
                return False
        elif row[KIND] > names.DOUBLE:
            return False
    return True


@compiled_in_place
def _is_plain(buf: Any, fields: Any, attributes: Any, slots: Any) -> bool:
    for name in range(_KNOWN):
        place = slots[name]
        if place == 0:
            if name < names.REQUIRED:
                return False
        elif attributes[place, KIND] == names.TEXT and attributes[place, LENGTH] == 0:
            return False
    disposition = attributes[slots[names.DISPOSITION]]
    words, bounds = names.DISPOSITION_WORDS, names.DISPOSITION_BOUNDS
    if one_of(buf, disposition[VALUE], disposition[LENGTH], words, bounds) < 0:
        return False
    return (
        _has_usual_name(buf, fields, attributes[slots[names.TYPE]])
        and _numbers_are_exact(buf, attributes, slots)
        and _belong_together(attributes, slots)
        and _chain_is_sound(buf, attributes, slots)
        and _gates_are_sound(buf, attributes, slots)
    )


@compiled_in_place
def _has_usual_name(buf: Any, fields: Any, kind: Any) -> bool:
    at, length = fields[NAME], fields[NAME_LENGTH]
    if length != len(_PREFIX) + kind[LENGTH]:
        return False
    for index in range(len(_PREFIX)):
        if buf[at + index] != _PREFIX[index]:
            return False
    return same(buf, at + len(_PREFIX), kind[VALUE], kind[LENGTH])


@compiled_in_place
def _numbers_are_exact(buf: Any, attributes: Any, slots: Any) -> bool:
    for name in range(names.SCORE, names.PASS_PROBABILITY + 1):
        row = attributes[slots[name]]
        value = varint(buf, row[VALUE], row[AFTER])[0]
        exact = -_EXACT <= value <= _EXACT
        if slots[name] > 0 and row[KIND] == names.INTEGER and not exact:
            return False
    return True


@compiled_in_place
def _belong_together(attributes: Any, slots: Any) -> bool:
    """Whether what is only whole together is all there or all absent, lists in one length."""
    has_score = slots[names.SCORE] > 0 or slots[names.THRESHOLD] > 0
    if has_score and slots[names.RECOMMENDED] == 0:
        return False
    clock = (slots[names.BOOT_ID] > 0) + (slots[names.MONOTONIC_NS] > 0) + (slots[names.SYNCED] > 0)
    chain = (
        (slots[names.CHAIN_ID] > 0) + (slots[names.CHAIN_SEQ] > 0) + (slots[names.CHAIN_PREV] > 0)
    )
    if clock % 3 != 0 or chain % 3 != 0:
        return False
    if not _equal_items(attributes, slots, names.INPUT_NAMES, names.INPUT_VALUES):
        return False
    if not _equal_items(attributes, slots, names.CATEGORICAL_NAMES, names.CATEGORICAL_VALUES):
        return False
    for name in range(names.FIRST_GATE + 1, names.LAST_GATE_TEXT + 1):
        if not _equal_items(attributes, slots, names.FIRST_GATE, name):
            return False
    return _equal_items(attributes, slots, names.FIRST_GATE, names.LIMITS) and _equal_items(
        attributes, slots, names.FIRST_GATE, names.OBSERVED
    )


@compiled_in_place
def _equal_items(attributes: Any, slots: Any, left: int, right: int) -> bool:
    """Whether two lists are of one length, an absent one of none."""
    return attributes[slots[left], ITEMS] == attributes[slots[right], ITEMS]


@compiled_in_place
def _chain_is_sound(buf: Any, attributes: Any, slots: Any) -> bool:
    if slots[names.CHAIN_SEQ] == 0:
        return True
    seq, prev = attributes[slots[names.CHAIN_SEQ]], attributes[slots[names.CHAIN_PREV]]
    if varint(buf, seq[VALUE], seq[AFTER])[0] < 0 or prev[LENGTH] != 64:
        return False
    for at in range(prev[VALUE], prev[VALUE] + 64):
        if not (48 <= buf[at] <= 57 or 97 <= buf[at] <= 102):
            return False
    return True


@compiled_in_place
def _gates_are_sound(buf: Any, attributes: Any, slots: Any) -> bool:
    if slots[names.FIRST_GATE] == 0:
        return True
    kinds, verdicts = attributes[slots[names.KINDS]], attributes[slots[names.GATE_VERDICTS]]
    return _all_of(buf, kinds, names.KIND_WORDS, names.KIND_BOUNDS) and _all_of(
        buf, verdicts, names.VERDICT_WORDS, names.VERDICT_BOUNDS
    )


@compiled_in_place
def _all_of(buf: Any, row: Any, words: Any, bounds: Any) -> bool:
    pos, end = row[VALUE], row[AFTER]
    while pos < end:
        start, pos = content(buf, pos + 1, end)
        first, last = content(buf, start + 1, pos)
        if one_of(buf, first, last - first, words, bounds) < 0:
            return False
    return True
