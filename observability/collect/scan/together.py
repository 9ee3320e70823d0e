"""Many OTLP bodies decoded at once.

What is plain is read in columns; every other span, and every body that is not plain, goes through
decode.py, which is what decoding means. Both give the same rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from observability.collect.bodies import (
    Accepted,
    Body,
    Decoding,
    Stamp,
    TooManySpans,
    answer_to,
    read_groups,
)
from observability.collect.decode import Decoded, decode
from observability.collect.limits import Limits
from observability.collect.scan.decisions import find_decisions
from observability.collect.scan.envelopes import Envelope, envelope, nested
from observability.collect.scan.layouts import layouts_of
from observability.collect.scan.outline import (
    AFTER,
    BODY,
    FIRST,
    GROUP,
    SCOPE,
    SCOPE_STOP,
    SHARED,
    SHARED_STOP,
    outline,
)
from observability.collect.scan.scanned import Scanned
from observability.collect.scan.spans import read_spans
from observability.collect.scan.tables import decision_tables
from observability.store.records import Row
from observability.store.schema import arrow_table
from traces.errors import InvalidPayload
from traces.otlp import SpanGroup, decode_protobuf

_ORDER = 32


def decode_together(bodies: Sequence[Body], stamp: Stamp, limits: Limits) -> Decoding:
    """Decode bodies at once. Raises nothing: a bad body fails only itself."""
    decoding = Decoding([Accepted()] * len(bodies))
    scanned = _scan(bodies, limits)
    order: list[np.ndarray] = []
    left: list[tuple[Decoded, datetime]] = []
    for number in _unread(scanned):
        try:
            decoded, places = _read(scanned, bodies[number], number, stamp, limits)
        except (InvalidPayload, TooManySpans) as error:
            decoding.answers[number] = error
            scanned.plain[scanned.body_of == number] = False
            continue
        decoding.answers[number] = answer_to(decoded.reasons)
        left.append((decoded, bodies[number].received_at))
        order.append((np.int64(number) << _ORDER) + places)
    chosen = np.flatnonzero(scanned.plain)
    if len(chosen):
        decoding.add(decision_tables(scanned, chosen, bodies, stamp))
        order.insert(0, (scanned.body_of[chosen] << _ORDER) + chosen)
    decoding.add(_tables(left))
    if len(decoding.parts.get("decisions", ())) > 1:
        in_order = pa.array(np.argsort(np.concatenate(order), kind="stable"))
        decoding.parts["decisions"] = [pa.concat_tables(decoding.parts["decisions"]).take(in_order)]
    return decoding


def _tables(left: Sequence[tuple[Decoded, datetime]]) -> dict[str, pa.Table]:
    """The rows of many bodies, each with its received_at."""
    rows: dict[str, list[Row]] = {}
    received: dict[str, list[datetime]] = {}
    for decoded, received_at in left:
        for name, own in decoded.rows.items():
            rows.setdefault(name, []).extend(own)
            received.setdefault(name, []).extend([received_at] * len(own))
    return {name: arrow_table(name, own, received[name]) for name, own in rows.items()}


def _scan(bodies: Sequence[Body], limits: Limits) -> Scanned:
    buf = np.frombuffer(b"".join(body.data for body in bodies) or b"\0", np.uint8)
    bounds = np.cumsum([0, *(len(body.data) for body in bodies)])
    groups, spans, parts, whole = outline(buf, bounds, limits.spans_per_request)
    items = limits.items_per_value if limits.nesting else 0
    most = [limits.name_bytes, limits.value_bytes, items, limits.attributes_per_span]
    fields, attributes, plain = read_spans(buf, spans, np.array(most, np.int64))
    slots, in_order = find_decisions(buf, fields, attributes, plain)
    scanned = Scanned(
        buf=buf,
        spans=spans,
        fields=fields,
        attributes=attributes,
        sorted=in_order,
        slots=slots,
        group_of=spans[:, GROUP],
        body_of=groups[spans[:, GROUP], BODY].astype(np.int64),
        envelopes=[],
        layouts=[],
        layout_of=np.zeros(len(spans), np.int32),
        plain=plain,
        whole=whole,
    )
    scanned.envelopes.extend(_envelope(scanned, group, parts.data, limits) for group in groups)
    _find_layouts(scanned)
    return scanned


def _envelope(scanned: Scanned, group: np.ndarray, parts: memoryview, limits: Limits) -> Envelope:
    """The envelope of a group; where it has no row, nothing of the group is plain."""
    shared = bytes(parts[group[SHARED] : group[SHARED_STOP]])
    scope = bytes(parts[group[SCOPE] : group[SCOPE_STOP]])
    try:
        found = envelope(shared, scope, limits)
    except InvalidPayload:
        scanned.whole[group[BODY]] = False
        scanned.plain[scanned.body_of == group[BODY]] = False
        return Envelope(ResourceSpans(), None)
    if found.row is None:
        scanned.plain[group[FIRST] : group[AFTER]] = False
    return found


def _find_layouts(scanned: Scanned) -> None:
    """Note the layout of what is plain so far; what names an input twice is left to the library."""
    chosen = np.flatnonzero(scanned.plain)
    layouts, layout_of = layouts_of(scanned, chosen)
    scanned.layouts.extend(layouts)
    scanned.layout_of[chosen] = layout_of
    good = np.array([layout is not None for layout in layouts], np.bool_)
    if not good.all():
        scanned.plain[chosen[~good[layout_of]]] = False


def _unread(scanned: Scanned) -> list[int]:
    """The bodies that have something in them which is not plain."""
    left = ~scanned.whole
    left[scanned.body_of[~scanned.plain]] = True
    return np.flatnonzero(left).tolist()


def _read(
    scanned: Scanned, body: Body, number: int, stamp: Stamp, limits: Limits
) -> tuple[Decoded, np.ndarray]:
    """Decode what is not plain in a body; also where its decisions stand among all spans.

    Raises InvalidPayload or TooManySpans where nothing of it may be stored.
    """
    places = np.flatnonzero((scanned.body_of == number) & ~scanned.plain)
    groups = _left_over(scanned, places) if scanned.whole[number] else None
    if groups is None:
        scanned.plain[scanned.body_of == number] = False
        groups = read_groups(body, limits)
        places = np.arange(sum(len(group.spans) for group in groups))
    decoded = decode(groups, origin=stamp.origin, identity=stamp.identity, limits=limits)
    return decoded, places[decoded.decided]


def _left_over(scanned: Scanned, places: np.ndarray) -> list[SpanGroup] | None:
    """These spans by group, read as part of a whole body, as `envelope` is; None where one cannot be read."""
    groups = []
    for group in np.unique(scanned.group_of[places]).tolist():
        own = scanned.spans[places[scanned.group_of[places] == group], :GROUP].tolist()
        spans = (nested(0x12, scanned.buf[start:stop].tobytes()) for start, stop in own)
        try:
            (parsed,) = decode_protobuf(nested(0x0A, nested(0x12, b"".join(spans))))
        except InvalidPayload:
            return None
        groups.append(SpanGroup(scanned.envelopes[group].message, parsed.spans, []))
    return groups
