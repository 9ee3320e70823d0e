from __future__ import annotations

from datetime import UTC, datetime

import pytest

from observability.explain.explanation import Attributions, Spec
from observability.explain.sentence import pulled_by, sentence
from observability.store.stored import StoredDecision
from traces import Decision, GateVerdict, ModelVersion, Recommendation

AT = datetime(2024, 1, 1, tzinfo=UTC)


def stored(
    action: str, disposition, recommendation: Recommendation | None, *gates: GateVerdict
) -> StoredDecision:
    model = ModelVersion("rul", "1", "sha256:" + "0" * 64)
    decision = Decision("engine.ground", model, action, disposition, recommendation, gates=gates)
    return StoredDecision("engine-049", "id", AT, AT, "unverified", "otlp", decision, ())


def attributed(problems: tuple[str, ...] = (), **phi: float) -> Attributions:
    spec = Spec("", "", "", "margin", "logit", "", "", tuple(phi), "", 0, 0, None, None)
    base, zeros = -1.0, (0.0,) * len(phi)
    output = base + sum(phi.values())
    return Attributions(
        spec,
        tuple(phi.values()),
        zeros,
        ("",) * len(phi),
        base,
        output,
        0.0,
        0.0,
        0.5,
        None,
        problems,
    )


GROUND = Recommendation("ground", 0.93, 0.5)
HOLD = Recommendation("fly", 0.12, 0.5)
GATE = GateVerdict("sensor_plausible", "rule", "block", "T30 612 is not >= 1500")
CALM = GateVerdict("calm", "rule", "pass")


@pytest.mark.parametrize(
    ("decision", "attributions", "said"),
    [
        (
            stored("ground", "executed", GROUND, CALM),
            attributed(s11=3.0, s4=1.0, s2=0.4, s7=0.3, s9=0.2, s3=-0.5),
            "score 0.93 is 0.43 over the threshold 0.5; most of it came from s11.",
        ),
        (
            stored("ground", "executed", GROUND),
            attributed(s11=2.0, s4=1.6, s2=1.0),
            "score 0.93 is 0.43 over the threshold 0.5; most of it came from s11 and s4.",
        ),
        (
            stored("fly", "executed", HOLD),
            attributed(s11=-2.0, s4=-1.6, s2=0.1),
            "score 0.12 is 0.38 under the threshold 0.5; s11 held it down most.",
        ),
        (
            stored("fly", "executed", HOLD),
            attributed(s11=0.1),
            "score 0.12 is 0.38 under the threshold 0.5.",
        ),
        (
            stored("ground", "executed", GROUND),
            attributed(("not what the device ran",), s11=2.0),
            "score 0.93 is 0.43 over the threshold 0.5.",
        ),
        (
            stored("ground", "executed", Recommendation("ground", 0.5, 0.5)),
            None,
            "score 0.5 is exactly at the threshold 0.5.",
        ),
        (
            stored("fly", "blocked", GROUND, CALM, GATE),
            attributed(s11=2.0),
            "the model proposed ground (score 0.93, threshold 0.5), "
            "but gate sensor_plausible blocked it: T30 612 is not >= 1500.",
        ),
        (
            stored(
                "wait", "deferred", GROUND, GateVerdict("mechanic", "human", "defer", "on the way")
            ),
            None,
            "the model proposed ground (score 0.93, threshold 0.5), "
            "but gate mechanic deferred it: on the way.",
        ),
        (
            stored("fly", "blocked", Recommendation("ground")),
            None,
            "the model proposed ground, but something that recorded no gate blocked it.",
        ),
        (stored("fly", "executed", None), None, "no recommendation of a model was recorded."),
        (
            stored("ground", "executed", Recommendation("ground")),
            None,
            "as the model proposed, without a score.",
        ),
    ],
)
def test_a_decision_is_told_in_one_plain_sentence(decision, attributions, said: str) -> None:
    assert (
        sentence(decision, attributions) == f"engine-049 chose {decision.decision.action}: {said}"
    )


def test_no_inputs_are_named_where_many_share_the_pull() -> None:
    assert pulled_by(attributed(**{f"s{number}": 1.0 for number in range(8)}), upwards=True) == ()
