"""Bodies as groups and spans: where they lie, without looking into them.

A body that has anything at its upper three levels which is not plain is left to the library whole.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from observability.collect.scan.compiled import compiled, compiled_in_place
from observability.collect.scan.wire import content

BODY, SHARED, SHARED_STOP, SCOPE, SCOPE_STOP, FIRST, AFTER = range(7)
"""Columns of a group: its body; resource and scope parts in the envelopes; its spans."""
START, STOP, GROUP = range(3)
"""Columns of a span."""
_SINGLE, _CHILDREN, _URL = 0x0A, 0x12, 0x1A


@compiled
def outline(buf: Any, bounds: Any, most_spans: int) -> Any:
    """Groups, spans, the envelopes' bytes, and for each body whether it is plain.

    `bounds` are the bodies' in `buf`. A ResourceSpans or ScopeSpans without its children is an envelope part.
    """
    size = len(buf) // 2 + 1  # an empty message takes two bytes; untouched memory costs nothing
    groups = np.empty((size, 7), np.int32)
    spans = np.empty((size, 3), np.int32)
    envelopes = np.empty(len(buf) + 1, np.uint8)
    plain = np.zeros(len(bounds) - 1, np.bool_)
    at = np.zeros(3, np.int64)  # how many groups, spans, envelope bytes there are
    before = np.zeros(3, np.int64)
    for body in range(len(bounds) - 1):
        before[:] = at
        found = _body(buf, bounds[body], bounds[body + 1], body, groups, spans, envelopes, at)
        plain[body] = found and at[1] - before[1] <= most_spans
        if not plain[body]:
            at[:] = before
    return groups[: at[0]], spans[: at[1]], envelopes[: at[2]], plain


@compiled_in_place
def _body(
    buf: Any, pos: int, end: int, body: int, groups: Any, spans: Any, envelopes: Any, at: Any
) -> bool:
    while pos < end:
        if buf[pos] != _SINGLE:
            return False
        start, pos = content(buf, pos + 1, end)
        if start < 0 or not _resource(buf, start, pos, body, groups, spans, envelopes, at):
            return False
    return True


@compiled_in_place
def _resource(
    buf: Any, pos: int, end: int, body: int, groups: Any, spans: Any, envelopes: Any, at: Any
) -> bool:
    shared = at[2]
    children = _copy_part(buf, pos, end, envelopes, at)
    shared_stop = at[2]
    if children <= 0:
        return False
    while pos < end:
        tag = buf[pos]
        start, pos = content(buf, pos + 1, end)
        if tag == _CHILDREN:
            group = groups[at[0]]
            group[BODY], group[SHARED], group[SHARED_STOP] = body, shared, shared_stop
            if not _scope(buf, start, pos, group, spans, envelopes, at):
                return False
            at[0] += 1
    return True


@compiled_in_place
def _scope(buf: Any, pos: int, end: int, group: Any, spans: Any, envelopes: Any, at: Any) -> bool:
    group[SCOPE] = at[2]
    if _copy_part(buf, pos, end, envelopes, at) < 0:
        return False
    group[SCOPE_STOP] = at[2]
    group[FIRST] = at[1]
    while pos < end:
        tag = buf[pos]
        start, pos = content(buf, pos + 1, end)
        if tag == _CHILDREN:
            span = spans[at[1]]
            span[START], span[STOP], span[GROUP] = start, pos, at[0]
            at[1] += 1
    group[AFTER] = at[1]
    return True


@compiled_in_place
def _copy_part(buf: Any, pos: int, end: int, envelopes: Any, at: Any) -> int:
    """Copy a message without its children; returns how many it has, -1 where it is not plain."""
    children = 0
    while pos < end:
        tag = buf[pos]
        start, stop = content(buf, pos + 1, end)
        if start < 0 or tag not in (_SINGLE, _CHILDREN, _URL):
            return -1
        if tag == _CHILDREN:
            children += 1
        else:
            for index in range(pos, stop):
                envelopes[at[2]] = buf[index]
                at[2] += 1
        pos = stop
    return children
