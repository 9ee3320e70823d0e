"""Bodies decoded at once and body by body: the same rows, the same answers, whatever the bytes are."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from observability.collect.bodies import Body, Decoding, Stamp, decode_each
from observability.collect.limits import Limits
from observability.collect.scan.together import decode_together
from observability.store.schema import KEYS
from tests.spans import NOON, decision, decision_span, group, outcome_span, protobuf_body, span
from tests.strategies import VALUES, decisions, envelopes, otlp_spans
from traces import ChainPosition, ClockReading, Decision, Gate, Recommendation
from traces.codec import encode_decision
from traces.otlp import SpanGroup, any_value, key_values

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


def test_a_decision_with_everything_is_scanned() -> None:
    spans = [
        rich_span(kind=1, flags=257, parent_span_id=b"p" * 8),
        decision_span(decision(inputs={"a": 1.0})),
        decision_span(decision("valve.open")),
        rich_span(status={}),
    ]
    done, count = both(protobuf_body(group(spans)), protobuf_body(group([rich_span()], "other")))
    assert count == 5
    assert done.tables()["decisions"].num_rows == 5


@pytest.mark.parametrize("device", ["pump-07", ""])
def test_all_kinds_of_spans_keep_their_order(device: str) -> None:
    first = rich_span()
    other = decision_span(trace_id=first.trace_id, span_id=first.span_id)
    unplain = span(encode_decision(decision(action="stop")), "odd")
    mixed = [
        unplain, first, outcome_span(first), span({"http.route": "/"}), other,
        span({"decision.type": "x"}), rich_span(), span({}, span_id=b""),
    ]  # fmt: skip
    _, count = both(
        protobuf_body(group(mixed, device), group([rich_span()])),
        protobuf_body(group([rich_span()])),
    )
    assert count == (5 if device else 2)


@given(st.lists(decisions(), min_size=1, max_size=4), st.data())
def test_any_decisions_are_the_same_either_way(values: list[Decision], data: st.DataObject) -> None:
    spans = [decision_span(value) for value in values]
    both(protobuf_body(group(spans)), protobuf_body(group([decision_span(data.draw(decisions()))])))


@given(
    otlp_spans(),
    decisions(),
    st.lists(st.tuples(st.sampled_from(sorted(encode_decision(RICH))), VALUES)),
)
def test_any_value_of_any_attribute_is_the_same_either_way(
    frame: Span, value: Decision, odd: list[tuple[str, Any]]
) -> None:
    """A name that is given twice, too: the odd values stand behind the sound ones."""
    del frame.attributes[:]
    frame.attributes.extend(key_values(encode_decision(value)))
    frame.attributes.extend(KeyValue(key=key, value=any_value(each)) for key, each in odd)
    replaced = rich_span()
    for key, each in odd:
        for pair in replaced.attributes:
            if pair.key == key:
                pair.value.CopyFrom(any_value(each))
    frame.start_time_unix_nano, frame.end_time_unix_nano = NOON, NOON
    both(protobuf_body(group([rich_span(), frame, replaced, rich_span()])))


@given(st.lists(st.tuples(envelopes(), st.lists(otlp_spans(), max_size=2)), max_size=3))
def test_any_resource_and_any_other_span_are_the_same_either_way(
    groups: list[tuple[ResourceSpans, list[Span]]],
) -> None:
    whole = [SpanGroup(envelope, [*spans, rich_span()], []) for envelope, spans in groups]
    both(protobuf_body(*whole), protobuf_body(group([rich_span()])))


def test_numbers_as_other_sdks_write_them_are_scanned() -> None:
    sent = rich_span()
    for pair in sent.attributes:
        if pair.key == "decision.input.values":
            pair.value.CopyFrom(any_value([91, 1.5, -3]))
        if pair.key == "decision.recommendation.threshold":
            pair.value.CopyFrom(any_value(1))
    done, count = both(protobuf_body(group([sent])))
    assert count == 1
    assert done.tables()["decisions"]["inputs"].to_pylist() == [[91.0, 1.5, -3.0]]


ODD_WIRE: dict[str, Callable[[bytes], bytes]] = {
    "an unknown field": lambda sent: sent + b"\xfa\x01\x02hi",
    "an unknown number": lambda sent: sent + b"\xf8\x01\x05",
    "a group": lambda sent: sent + b"\xfb\x01\x08\x01\xfc\x01",
    "a group without an end": lambda sent: sent + b"\xfb\x01\x08\x01",
    "an end without a group": lambda sent: sent + b"\xfc\x01",
    "wire type 6": lambda sent: sent + b"\x0e",
    "field 0": lambda sent: sent + b"\x02\x00",
    "a longer varint than needed": lambda sent: sent + b"\x30\x81\x00",
    "a varint of eleven bytes": lambda sent: sent + b"\x30" + b"\xff" * 10 + b"\x01",
    "a negative kind": lambda sent: sent + b"\x30" + b"\xff" * 9 + b"\x01",
    "the name twice": lambda sent: sent + b"\x2a\x03odd",
    "a name that is no UTF-8": lambda sent: sent + b"\x2a\x02\xc3\x28",
    "a surrogate as name": lambda sent: sent + b"\x2a\x03\xed\xa0\x80",
    "an overlong name": lambda sent: sent + b"\x2a\x02\xc0\xaf",
    "a NUL in the name": lambda sent: sent + b"\x2a\x01\x00",
    "the kind as text": lambda sent: sent + b"\x32\x01a",
    "a time as varint": lambda sent: sent + b"\x38\x01",
    "zero flags": lambda sent: sent + b"\x85\x01\x00\x00\x00\x00",
    "zero dropped": lambda sent: sent + b"\x50\x00\x60\x00\x70\x00",
    "some dropped": lambda sent: sent + b"\x50\x07",
    "a status": lambda sent: sent + b"\x7a\x02\x18\x02",
    "a status twice": lambda sent: sent + b"\x7a\x00\x7a\x02\x18\x02",
    "a state": lambda sent: sent + b"\x1a\x03a=b",
    "an event": lambda sent: sent + b"\x5a\x03\x12\x01e",
    "a link": lambda sent: sent + b"\x6a\x00",
    "an empty attribute": lambda sent: sent + b"\x4a\x00",
    "an attribute without a value": lambda sent: sent + b"\x4a\x03\x0a\x01k",
    "an attribute without a name": lambda sent: sent + b"\x4a\x04\x12\x02\x10\x01",
    "the value before the name": lambda sent: sent + b"\x4a\x07\x12\x02\x10\x01\x0a\x01k",
    "two values": lambda sent: sent + b"\x4a\x09\x0a\x01k\x12\x04\x10\x01\x18\x05",
    "a flag of two": lambda sent: sent + b"\x4a\x07\x0a\x01k\x12\x02\x10\x02",
    "an empty list": lambda sent: sent + b"\x4a\x07\x0a\x01k\x12\x02\x2a\x00",
    "an unknown value": lambda sent: sent + b"\x4a\x07\x0a\x01k\x12\x02\x40\x01",
    "cut short": lambda sent: sent[:-3],
    "nothing": lambda _: b"",
}


@pytest.mark.parametrize("change", ODD_WIRE.values(), ids=ODD_WIRE)
def test_odd_bytes_mean_what_the_library_says(change: Callable[[bytes], bytes]) -> None:
    odd = bytes_of(change(decision_span().SerializeToString()))
    both(odd)
    _, count = both(protobuf_body(group([rich_span()])), odd, protobuf_body(group([rich_span()])))
    assert count >= 2


def bytes_of(span_bytes: bytes, *more: bytes) -> bytes:
    """A body with these spans as they are."""
    whole = b"".join(b"\x12" + _length(each) + each for each in (span_bytes, *more))
    resource = group([]).envelope.resource.SerializeToString()
    inner = b"\x0a" + _length(resource) + resource + b"\x12" + _length(whole) + whole
    return b"\x0a" + _length(inner) + inner


def _length(data: bytes) -> bytes:
    size, out = len(data), b""
    while size > 127:
        size, out = size >> 7, out + bytes([size & 127 | 128])
    return out + bytes([size])


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x0a\x00", b"\x0a\x02\x12\x00", b"\x0a\x04\x12\x02\x12\x00", b"\x0a", b"\xff",
        b"\x12\x00", b"\x0a\x02\x1a\x00", b"\x0a\x05\x1a\x03\xff\xff\xff", b"\x0a\x01\x0b\x0c",
        b"\x0a\x06\x12\x04\x0a\x02\xff\xff", b"\x08\x01", b"\x0a\x80\x00",
    ],
    ids=bytes.hex,
)  # fmt: skip
def test_bodies_of_a_few_bytes(data: bytes) -> None:
    both(data)
    both(protobuf_body(group([rich_span()])), data, data + protobuf_body(group([rich_span()])))


def test_many_bodies_in_one_and_a_resource_behind_its_spans() -> None:
    one = protobuf_body(group([rich_span(), decision_span()]))
    _, count = both(one + protobuf_body(group([rich_span()], "b")) + one)
    assert count == 5
    inner = b"\x12\x02\x12\x00" + b"\x0a" + b"\x00" + b"\x1a\x03url"
    both(b"\x0a" + _length(inner) + inner)


@pytest.mark.parametrize(
    "limits",
    [
        Limits(spans_per_request=2), Limits(attributes_per_span=5), Limits(name_bytes=12),
        Limits(value_bytes=4), Limits(items_per_value=1), Limits(nesting=0), Limits(nesting=1),
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_over_a_limit_is_refused_either_way(limits: Limits) -> None:
    spans = [rich_span() for _ in range(3)]
    both(protobuf_body(group(spans)), protobuf_body(group(spans[:1])), limits=limits)


def test_mutated_bodies_are_the_same_either_way() -> None:
    chance = random.Random(7)  # noqa: S311
    sound = protobuf_body(group([rich_span(), outcome_span(rich_span()), decision_span()]))
    for _ in range(400):
        both(*(mutated(sound, chance) for _ in range(3)))


def mutated(data: bytes, chance: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(chance.choice([0, 1, 1, 2, 5])):
        at = chance.randrange(len(out))
        match chance.randrange(5):
            case 0:
                out[at] ^= 1 << chance.randrange(8)
            case 1:
                out[at] = chance.choice([0, 1, 0x0A, 0x12, 0x7F, 0x80, 0xFF])
            case 2:
                del out[at : at + chance.randrange(1, 9)]
            case 3:
                out[at:at] = chance.randbytes(chance.randrange(1, 4))
            case _:
                other = chance.randrange(len(out))
                out[at : at + 8] = out[other : other + 8]
    return bytes(out)
