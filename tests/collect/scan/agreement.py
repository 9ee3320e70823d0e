"""Bodies decoded at once, held to what they are body by body."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from observability.collect.bodies import Body, Decoding, Stamp, decode_each
from observability.collect.limits import Limits
from observability.collect.scan.together import decode_together
from observability.store.schema import KEYS
from tests.spans import decision, decision_span, group
from traces import ChainPosition, ClockReading, Gate, Recommendation
from traces.otlp import any_value

STAMP = Stamp("otlp", "unverified")
RECEIVED = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
UNORDERED = ("layouts", "resources")
"""Tables of which a row that comes again is dropped."""


def bodies_of(*data: bytes) -> list[Body]:
    return [Body(each, RECEIVED + timedelta(days=n)) for n, each in enumerate(data)]


def rows_of(decoding: Decoding) -> dict[str, Any]:
    tables = {
        name: (table.schema, table.to_pylist())
        for name, table in decoding.tables().items()
        if table.num_rows
    }
    for name in UNORDERED:
        if name in tables:
            schema, rows = tables[name]
            by_key = {row[KEYS[name][0]]: row | {"received_at": None} for row in rows}
            tables[name] = schema, sorted(map(repr, by_key.values()))
    return {name: (schema, list(map(repr, rows))) for name, (schema, rows) in tables.items()}


def both(*data: bytes, limits: Limits | None = None) -> tuple[Decoding, int]:
    """What is decoded at once, held to what is decoded body by body; and how many spans were scanned."""
    limits = limits or Limits()
    together = decode_together(bodies_of(*data), STAMP, limits)
    each = decode_each(bodies_of(*data), STAMP, limits)
    answers = [[(type(a), str(a)) for a in done.answers] for done in (together, each)]
    assert answers[0] == answers[1]
    assert rows_of(together) == rows_of(each)
    return together, scanned(*data, limits=limits)


def scanned(*data: bytes, limits: Limits) -> int:
    """How many spans the library was not asked about."""
    from observability.collect.scan.together import _scan

    return int(_scan(bodies_of(*data), limits).plain.sum())


RICH = decision(
    inputs={"temperature": 91.5, "vibration": float("nan"), "é": -0.0},
    categoricals={"valve": "open"},
    recommendation=Recommendation("stop", 0.64, 0.5),
    gates=(
        Gate("max", "temperature", "<=", 80.0).judge({"temperature": 91.5}),
        Gate("min", "vibration", ">=", 0.0).judge({"vibration": 1.0}),
    ),
    disposition="blocked",
    pass_probability=0.9,
    exploration=False,
    clock=ClockReading("boot-1", 12, synced=True),
    chain=ChainPosition("c0ffee", 7, "ab" * 32),
    context={
        "mode": "auto", "load": 0.5, "on": True, "n": -7, "nan": float("nan"), "far": 1e300,
        "geo.location.lat": 48.5, "enduser.pseudo.id": "ü",
    },
    extra={"http.route": "/", "big": 2**60, "decision.outcome.label": "x"},
)  # fmt: skip


def rich_span(**fields: Any) -> Span:
    return decision_span(RICH, **fields)


def bytes_of(span_bytes: bytes, *more: bytes) -> bytes:
    """A body with these spans as they are."""
    whole = b"".join(b"\x12" + length_of(each) + each for each in (span_bytes, *more))
    resource = group([]).envelope.resource.SerializeToString()
    inner = b"\x0a" + length_of(resource) + resource + b"\x12" + length_of(whole) + whole
    return b"\x0a" + length_of(inner) + inner


def length_of(data: bytes) -> bytes:
    size, out = len(data), b""
    while size > 127:
        size, out = size >> 7, out + bytes([size & 127 | 128])
    return out + bytes([size])


def with_values(sent: Span, values: dict[str, Any]) -> Span:
    """The span with other values of attributes that it has."""
    for pair in sent.attributes:
        if pair.key in values:
            pair.value.CopyFrom(any_value(values[pair.key]))
    return sent
