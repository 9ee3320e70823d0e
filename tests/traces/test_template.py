from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import ATTRIBUTES, DOUBLES, TEXTS, decisions, outcomes
from traces import Decision, Outcome, template
from traces.chain import canonical_attributes
from traces.codec import encode_decision
from traces.codec_later import encode_outcome
from traces.errors import WrongUse
from traces.template import Templates, encode_plainly
from traces.wire import attribute

TYPED = st.fixed_dictionaries(
    {
        "b": st.lists(DOUBLES, min_size=2, max_size=3),
        "a": TEXTS,
        "decision.chain.seq": st.integers(0, 9),
        "e": st.integers(-(2**54), 2**54),
        "d": st.lists(DOUBLES, max_size=2) | st.just([1, 2.0]),
        "c": DOUBLES,
        "B": st.booleans() | st.integers(0, 1) | st.sampled_from([0.0, -0.0, 1.0]),
        "f": st.none()
        | st.tuples(TEXTS)
        | st.just(("x", 1))
        | st.sampled_from([("x", True), (["x"],)]),
    }
)
"""Spans of few forms, so that templates come into use."""


def check(templates: Templates, attributes: dict[str, Any]) -> None:
    encoded = templates.encode(attributes)
    assert encoded == encode_plainly(attributes)
    assert encoded.fields == b"".join(attribute(key, value) for key, value in attributes.items())
    assert encoded.content == canonical_attributes(attributes)


@given(st.lists(TYPED | ATTRIBUTES, min_size=1, max_size=4))
def test_a_template_gives_the_bytes_of_encoding_plainly(spans: list[dict[str, Any]]) -> None:
    templates = Templates()
    for _ in range(4):
        for attributes in spans:
            check(templates, attributes)


@given(st.lists(decisions(), min_size=1, max_size=3), st.lists(outcomes(), max_size=2))
def test_a_decision_of_a_template_has_the_bytes_of_encoding_plainly(
    decided: list[Decision], turned_out: list[Outcome]
) -> None:
    templates = Templates()
    for _ in range(3):
        for each in decided:
            check(templates, encode_decision(each))
        for outcome in turned_out:
            check(templates, encode_outcome(outcome))


def test_a_text_that_always_differs_is_no_reason_for_another_template() -> None:
    templates = Templates()
    for number in range(200):
        check(templates, {"order": f"A-{number}", "score": number / 7, "action": "run"})
    (form,) = filter(None, templates._forms.values())
    assert form.varied == ("order",)
    assert len(form.templates) == 1


@pytest.mark.parametrize("kept", [lambda n: {f"key {n}": 1.0}, lambda n: {"x": [1.0] * (n + 1)}])
def test_spans_that_are_never_alike_do_not_fill_the_memory(kept: Any) -> None:
    templates = Templates()
    for number in range(3000):
        check(templates, kept(number))
    assert len(templates._forms) <= template._MOST
    assert templates._made < 200


def test_many_forms_are_forgotten_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template, "_MOST", 16)
    monkeypatch.setattr(template, "_USES", 1)
    templates = Templates()
    for number in range(100):
        check(templates, {f"key {number}": 1.0})
        assert len(templates._forms) <= 16


def test_values_that_no_span_can_carry_are_refused_by_a_template_too() -> None:
    templates = Templates()
    for text in ("fine", "fine", "\ud800", *map(str, range(20)), "\ud801"):
        if text.isascii():
            check(templates, {"x": text})
        else:
            with pytest.raises(WrongUse):
                templates.encode({"x": text})


@given(st.lists(TYPED, min_size=1, max_size=3))
def test_where_nothing_is_digested_the_fields_are_the_same(spans: list[dict[str, Any]]) -> None:
    templates = Templates(digested=False)
    for _ in range(4):
        for attributes in spans:
            assert templates.encode(attributes).fields == encode_plainly(attributes).fields


def test_a_zero_has_no_sign_in_the_content_and_its_own_on_the_wire() -> None:
    templates = Templates()
    odd = [-0.0, math.nan, -math.nan, math.inf, 5e-324]
    for values in ([1.0] * 5, [2.0] * 5, odd, [float(v) for v in reversed(odd)]):
        check(templates, {"x": values, "y": values[0]})
