from __future__ import annotations

from typing import Any

import pytest

from tests.spans import decision, decoded, group, span
from traces.codec import encode_decision

LISTS = [1.5] * 8193, ["x"] * 8193, [None] * 8193


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"blob": "x" * 65_537}, "found 65537 bytes in blob; expected at most 65536"),
        ({"blob": b"x" * 65_537}, "found 65537 bytes in blob; expected at most 65536"),
        ({"blob": ["x" * 65_537]}, "found 65537 bytes in blob; expected at most 65536"),
        *(
            ({"items": items}, "found 8193 items in items; expected at most 8192")
            for items in LISTS
        ),
        (
            {"items": {str(n): n for n in range(8193)}},
            "found 8193 items in items; expected at most 8192",
        ),
        ({f"a{n}": n for n in range(1019)}, "found 1025 attributes; expected at most 1024"),
        ({"n" * 4097: 1}, "found a name of 4097 bytes; expected at most 4096"),
        ({"map": {"n" * 4097: 1}}, "found a name of 4097 bytes; expected at most 4096"),
        ({"map": {"k": {"k": "x" * 65_537}}}, "found 65537 bytes in map; expected at most 65536"),
        ({"deep": [[[[[[[[[1]]]]]]]]]}, "found too many levels in deep; expected at most 8"),
        (
            {"deep": {"k": [{"k": [{"k": [{"k": [{"k": "v"}]}]}]}]}},
            "found too many levels in deep; expected at most 8",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_span_over_a_limit_is_rejected(attributes: dict[str, Any], reason: str) -> None:
    sent = span(encode_decision(decision()) | attributes, "decision pump.stop")
    assert decoded(group([sent])).reasons == [reason]


@pytest.mark.parametrize(
    "attributes",
    [
        {"blob": "x" * 65_536, "items": [1.5] * 8192},
        {f"a{n}": n for n in range(1018)},
        {"n" * 4096: [[[[[[[[1]]]]]]]]},
    ],
    ids=["large", "many", "deep"],
)
def test_a_span_at_its_limits_is_stored(attributes: dict[str, Any]) -> None:
    assert decoded(group([span(encode_decision(decision()) | attributes)])).reasons == []


def test_the_limits_hold_in_events_links_resource_and_scope() -> None:
    for part in ("events", "links"):
        with_part = span({})
        getattr(with_part, part).add().attributes.add(key="blob").value.string_value = "x" * 65_537
        assert decoded(group([with_part])).reasons == [
            "found 65537 bytes in blob; expected at most 65536"
        ]
    assert len(decoded(group([span({})], blob="x" * 65_537)).reasons) == 1
    scoped = group([span({})])
    scoped.envelope.scope_spans[0].scope.attributes.add(key="n" * 4097)
    assert len(decoded(scoped).reasons) == 1
