from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import decisions, same
from tests.traces.device.test_point import MODEL
from traces import Decision, Duration, Gate, HumanGate, Hysteresis, Interlock, Rate, Review
from traces.conventions import WITHHELD
from traces.device import DecisionPoint, Privacy, RecordedClock, Recorder
from traces.errors import WrongUse
from traces.gates import rejudge

KEY = bytes(range(32))
TREATED = st.sampled_from(["keep", "pseudonymise", "drop"])


def plain(**fields: Any) -> Decision:
    return Decision("pump.stop", MODEL, "run", "executed", **fields)


def test_each_field_is_kept_replaced_or_dropped() -> None:
    privacy = Privacy(
        inputs={"pulse": "drop"},
        categoricals={"ward": "pseudonymise", "diagnosis": "drop"},
        context={"enduser.*": "pseudonymise", "enduser.role": "keep", "room": "drop"},
        key=KEY,
    )
    decision = plain(
        inputs={"pulse": 71.0, "flow": 2.0},
        categoricals={"ward": "7b", "diagnosis": "x", "valve": "open"},
        context={"enduser.id": "anna", "enduser.role": "nurse", "room": 12, "mode": "auto"},
    )
    sent = privacy.decision(decision)
    assert same(sent.inputs, {"pulse": math.nan, "flow": 2.0})
    assert sent.categoricals == {
        "ward": privacy.pseudonym("7b"),
        "diagnosis": "",
        "valve": "open",
    }
    assert sent.context == {
        "enduser.id": privacy.pseudonym("anna"),
        "enduser.role": "nurse",
        "mode": "auto",
    }
    assert sent.withheld == ("pulse", "diagnosis", "decision.context.room")


def test_a_pseudonym_is_the_same_for_the_same_text_and_key_only() -> None:
    one, other = (Privacy(context={"a": "pseudonymise"}, key=key) for key in (KEY, KEY[::-1]))
    assert one.pseudonym("anna") == one.pseudonym("anna")
    assert len({one.pseudonym("anna"), one.pseudonym("bert"), other.pseudonym("anna")}) == 3
    assert one.pseudonym("anna").startswith("pseudonym:")
    assert repr(KEY) not in repr(one)


@given(decisions(), st.dictionaries(st.text(max_size=2), TREATED, max_size=3), st.randoms())
def test_what_is_kept_stays_as_it_was_and_what_is_not_is_gone(
    decision: Decision, policy: Mapping[str, Any], chance: Any
) -> None:
    names = [*decision.inputs, *decision.categoricals, *decision.context]
    policy = {**policy, **{name: chance.choice(["keep", "drop"]) for name in names}}
    privacy = Privacy(
        inputs={name: how for name, how in policy.items() if how != "pseudonymise"},
        categoricals=policy,
        context=policy,
        key=KEY,
    )
    sent = privacy.decision(decision)
    for name, value in decision.inputs.items():
        assert same(sent.inputs[name], value if policy[name] == "keep" else math.nan)
    for name, value in decision.context.items():
        assert same(sent.context.get(name), value if policy[name] == "keep" else None)
    if set(policy.values()) <= {"keep"}:
        assert sent is decision


GATES = (
    Gate("g", "pulse", "<=", 60.0),
    Gate("passing", "pulse", "<=", 200.0),
    Hysteresis("h", "pulse", "<=", 60.0, reset=50.0),
    Duration("d", "pulse", "<=", 60.0, seconds=1.0),
    Rate("r", "pulse", "<=", 1.0),
    Interlock("i", "nurse", ("berta", "clara")),
    Gate("other", "flow", "<=", 1.0),
)


@pytest.mark.parametrize("how", ["drop", "pseudonymise"])
def test_no_gate_tells_what_a_field_that_is_not_kept_was(how: Any) -> None:
    privacy = Privacy(inputs={"pulse": "drop"}, context={"nurse": how}, key=KEY)
    seen: list[Any] = []
    with_policy, without = (
        DecisionPoint(
            "pump.stop",
            MODEL,
            lambda values: seen.append(values["pulse"]) or 0.9,
            0.5,
            ("run", "stop"),
            Recorder(device_id="d", service="s", privacy=given_, clock=RecordedClock(10**18)),
            GATES,
        )
        for given_ in (privacy, None)
    )
    inputs, context = {"pulse": 71.25, "flow": 2.0}, {"nurse": "anna"}
    acted = with_policy.decide(inputs, context=context)
    assert seen == [71.25]
    assert acted.decision.gates == without.decide(inputs, context=context).decision.gates
    sent = privacy.decision(acted.decision)
    assert "71.25" not in repr(sent)
    assert "anna" not in repr(sent)
    assert "clara" not in repr(sent)
    *hidden, other = sent.gates
    assert [v.verdict for v in sent.gates] == [v.verdict for v in acted.decision.gates]
    assert {(v.reason, rejudge(v)) for v in hidden} == {(WITHHELD, None)}
    assert rejudge(other) == "block"


def test_a_reason_that_repeats_a_hidden_text_is_withheld() -> None:
    decision = plain(
        context={"enduser.id": "anna"},
        gates=(HumanGate("lead", reason="anna asked for it").judge({}),),
    )
    sent = Privacy(context={"enduser.*": "drop"}).decision(decision)
    assert sent.gates[0].reason == WITHHELD
    assert sent.withheld == ("enduser.id",)


def test_the_person_of_a_review_may_be_a_pseudonym() -> None:
    review = Review("a" * 32, "b" * 16, "lead", "pass", "anna", "anna saw it")
    privacy = Privacy(context={"decision.review.by": "pseudonymise"}, key=KEY)
    sent = privacy.review(review)
    assert (sent.by, sent.reason) == (privacy.pseudonym("anna"), WITHHELD)
    assert Privacy().review(review) is review
    assert Privacy(context={"decision.*": "drop"}).review(review).by == WITHHELD


@pytest.mark.parametrize(
    "made",
    [
        lambda: Privacy(inputs={"pulse": "pseudonymise"}, key=KEY),
        lambda: Privacy(inputs={"pulse": "hide"}),  # pyright: ignore[reportArgumentType]
        lambda: Privacy(context={"enduser.id": "pseudonymise"}),
        lambda: Privacy(categoricals={"ward": "pseudonymise"}, key=b"short"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused_when_it_is_made(made: Any) -> None:
    with pytest.raises(WrongUse, match=r"expected .*(one of|bytes or more)"):
        made()
