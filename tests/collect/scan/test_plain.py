"""What is just plain, and what is just not: the same rows and the same answers."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from observability.collect.bodies import Accepted
from tests.collect.scan.agreement import RICH, both, bytes_of, rich_span, with_values
from tests.spans import decision_span, group, protobuf_body, span
from traces.codec import encode_decision
from traces.otlp import key_values

NAMES, INPUTS = "decision.input.names", "decision.input.values"
SCORE, LIMITS = "decision.recommendation.score", "decision.gate.limits"


@pytest.mark.parametrize(
    "values",
    [
        {NAMES: ["a", "a", "b"]}, {NAMES: ["a", "b"]}, {NAMES: ["a", "b", 3]}, {NAMES: []},
        {"decision.input.categorical.names": ["a", "b"]},
        {INPUTS: [2**53 + 1, 1.0, 2.0]}, {INPUTS: [-(2**53) - 1, 1.0, 2.0]}, {INPUTS: [2**60, 1, 2]},
        {INPUTS: [2**53, -(2**53), 0]}, {INPUTS: [True, 1.0, 2.0]}, {INPUTS: [None, 1.0, 2.0]},
        {INPUTS: [-(2**63), 1, 2]}, {INPUTS: ["1", "2", "3"]}, {LIMITS: [2**53 + 1, 1]},
        {SCORE: 2**53 + 1}, {SCORE: -(2**53) - 1}, {SCORE: -(2**63)}, {SCORE: 2**53}, {SCORE: True},
        {SCORE: None}, {SCORE: "0.5"}, {"decision.gate.pass_probability": 2**62 + 1},
        {"decision.disposition": "Executed"}, {"decision.action": ""}, {"decision.type": ""},
        {"decision.recommendation.action": ""}, {"decision.gate.kinds": ["rule", "dog"]},
        {"decision.gate.verdicts": ["pass", ""]}, {"decision.gate.reasons": ["one"]},
        {"decision.chain.seq": -1}, {"decision.chain.prev": "AB" * 32}, {"decision.chain.id": ""},
        {"decision.chain.prev": "g" * 64}, {"decision.chain.prev": "a" * 63},
        {"decision.clock.boot_id": ""}, {"decision.clock.monotonic_ns": 1.0},
        {"decision.clock.synced": None}, {"decision.exploration": 1}, {"big": [1, 2]},
        {"big": -(2**63)}, {"http.route": b"raw"}, {"decision.context.mode": "a\0b"},
    ],
    ids=repr,
)  # fmt: skip
def test_values_at_the_edge_of_what_is_plain(values: dict[str, Any]) -> None:
    both(protobuf_body(group([rich_span(), with_values(rich_span(), values), rich_span()])))


@pytest.mark.parametrize(
    "name",
    [
        "decision.input.x", "decision.input", "decision.inputs", "decision.chain.other",
        "decision.context.", "decision.context.geo.location.x", "decision.context.mode.", "enduser.",
        "feature_flag.x", "geo.location", "decision.contextual", "decision.outcome.label",
        "decision.review.verdict", "decision.gate.extra", "é",
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", ["text", 5, 0.5, True])
def test_names_next_to_those_that_are_known(name: str, value: Any) -> None:
    sent = rich_span()
    sent.attributes.extend(key_values({name: value}))
    both(protobuf_body(group([sent])))


@pytest.mark.parametrize("left_out", sorted(encode_decision(RICH)))
def test_a_decision_without_one_of_its_attributes(left_out: str) -> None:
    attributes = encode_decision(RICH)
    del attributes[left_out]
    both(protobuf_body(group([span(attributes, "decision pump.stop"), rich_span()])))


UTF8 = {
    "\x7f": True, "\x80": True, "\u07ff": True, "\u0800": True, "\ud7ff": True, "\ue000": True,
    "\uffff": True, "\U00010000": True, "\U0010ffff": True,
    b"\x80": False, b"\xc0\x80": False, b"\xc1\xbf": False, b"\xc3": False, b"\xc3(": False,
    b"\xe0\x80\x80": False, b"\xe0\x9f\xbf": False, b"\xed\xa0\x80": False, b"\xe2\x82": False,
    b"\xf0\x80\x80\x80": False, b"\xf0\x8f\xbf\xbf": False, b"\xf4\x90\x80\x80": False,
    b"\xf5\x80\x80\x80": False, b"\xf0\x9f\x98": False, b"\xff": False, b"\xf0\x9f\x28\x80": False,
}  # fmt: skip


@pytest.mark.parametrize(("text", "good"), UTF8.items(), ids=repr)
def test_texts_are_utf_8_wherever_they_stand(text: str | bytes, good: bool) -> None:
    data = text if isinstance(text, bytes) else text.encode()
    mark = "~" * len(data)
    value = replace(RICH, context={"mode": mark}, categoricals={"v": mark}, extra={mark: 1})
    whole = decision_span(value).SerializeToString()
    pieces = whole.split(mark.encode())
    assert len(pieces) == 4
    for which in range(3):
        parts = [mark.encode()] * 3
        parts[which] = data
        joined = b"".join(a + b for a, b in zip(pieces, [*parts, b""], strict=True))
        done, count = both(bytes_of(joined), protobuf_body(group([rich_span()])))
        assert count == (2 if good else 1)
        assert isinstance(done.answers[0], Accepted) is good


@pytest.mark.parametrize(
    "bits", [0x7FF8000000000001, 0xFFF8000000000000, 0x7FF0000000000001], ids=hex
)
def test_a_nan_is_a_nan_whatever_its_bits(bits: int) -> None:
    """Some machines set other bits than others; the digest may not tell them apart."""
    nan = struct.pack("<Q", bits)
    usual = struct.pack("<d", float("nan"))
    sent = protobuf_body(group([rich_span()]))
    assert sent.count(usual) >= 2
    done, count = both(sent.replace(usual, nan), sent)
    assert count == 2
    assert len(set(done.tables()["decisions"]["digest"].to_pylist())) == 1


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
    "a longer varint than needed in what is kept": lambda sent: (
        sent + b"\x4a\x08\x0a\x01k\x12\x03\x18\x81\x00"
    ),
    "a longer length than needed": lambda sent: sent + b"\x4a\x87\x00\x0a\x01k\x12\x02\x10\x01",
    "a longer length of a name": lambda sent: sent + b"\x4a\x08\x0a\x81\x00k\x12\x02\x10\x01",
    "a negative kind": lambda sent: sent + b"\x30" + b"\xff" * 9 + b"\x01",
    "the name twice": lambda sent: sent + b"\x2a\x03odd",
    "a name that is no UTF-8": lambda sent: sent + b"\x2a\x02\xc3\x28",
    "a surrogate as name": lambda sent: sent + b"\x2a\x03\xed\xa0\x80",
    "an overlong name": lambda sent: sent + b"\x2a\x02\xc0\xaf",
    "a NUL in the name": lambda sent: sent + b"\x2a\x01\x00",
    "the kind as text": lambda sent: sent + b"\x32\x01a",
    "a time as varint": lambda sent: sent + b"\x38\x01",
    "a time cut short": lambda sent: sent + b"\x41" + b"\x01" * 7,
    "flags cut short": lambda sent: sent + b"\x85\x01\x01\x01\x01",
    "a length without its content": lambda sent: sent + b"\x2a\x01",
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
