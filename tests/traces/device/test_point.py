from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.strategies import VALUES, same
from traces import (
    Clamp,
    Decision,
    Duration,
    Gate,
    HumanGate,
    Hysteresis,
    Interlock,
    ModelVersion,
    Outcome,
    Rate,
    Review,
)
from traces.codec import decode_decision
from traces.codec_later import decode_outcome, decode_review
from traces.conventions import NAMES, REGISTRY, SCHEMA_URL
from traces.device import DecisionPoint, Privacy, RecordedClock, Recorder
from traces.gates import rejudge
from traces.otlp import attributes_of

MODEL = ModelVersion("guard", "1.4.0", "sha256:" + "0" * 64)
COOL = Gate("max_temperature", "temperature", "<=", 80.0)


class Device:
    """A decision point whose spans can be looked at, as they leave the device."""

    def __init__(
        self, predict: Callable[[Mapping[str, Any]], Any] = lambda _: 0.9, **options: Any
    ) -> None:
        self.exporter = InMemorySpanExporter()
        self.clock = RecordedClock(10**18)
        self.recorder = Recorder(
            device_id="pump-07",
            service="pump",
            processor=SimpleSpanProcessor(self.exporter),
            clock=options.pop("clock", self.clock),
            privacy=options.pop("privacy", None),
        )
        gates = options.pop("gates", ())
        self.point = DecisionPoint(
            "pump.stop", MODEL, predict, 0.5, ("run", "stop"), self.recorder, gates, **options
        )

    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    def sent(self) -> Decision:
        """The decision that arrives: encoded by the official exporter's encoder and decoded."""
        data = encode_spans(self.spans()).resource_spans[0].scope_spans[0].spans[-1]
        return decode_decision(attributes_of(data.attributes))


def raising(error: BaseException) -> Callable[[Any], Any]:
    def predict(_: Any) -> Any:
        raise error

    return predict


def test_from_the_threshold_on_the_second_action_is_taken() -> None:
    scores = {0.49: "run", 0.5: "stop", 0.51: "stop", math.nan: "run"}
    for score, action in scores.items():
        assert (
            Device(lambda _, score=score: score).point.decide({"temperature": 1.0}).action == action
        )


def test_a_gate_that_blocks_makes_the_device_fall_back_and_is_on_record() -> None:
    device = Device(gates=[COOL])
    decided = device.point.decide({"temperature": 91.5}, context={"mode": "auto"})
    assert (decided.action, decided.decision.disposition) == ("run", "blocked")
    assert decided.decision.recommendation is not None
    assert decided.decision.recommendation.action == "stop"
    assert same(device.sent(), decided.decision)


def test_a_gate_is_asked_only_about_the_actions_that_it_guards() -> None:
    gates = [Gate("a", "x", "<", 0.0, guards=("run",)), Gate("b", "x", ">", 0.0, guards=("stop",))]
    assert [gate.name for gate in Device(gates=gates).point.decide({"x": 1.0}).decision.gates] == [
        "b"
    ]


def test_a_gate_may_observe_the_context() -> None:
    decided = Device(gates=[Gate("dwell", "minutes", ">=", 30.0)]).point.decide(
        {}, context={"minutes": 5}
    )
    assert decided.decision.gates[0].reason == "minutes 5 is not >= 30"


def test_an_interlock_may_observe_a_categorical() -> None:
    gates = [Interlock("closed", "valve", ("shut",))]
    decided = Device(gates=gates).point.decide({}, categoricals={"valve": "open"})
    assert decided.decision.gates[0].reason == 'valve "open" is not "shut"'


def test_numeric_text_of_the_context_is_no_number_for_a_gate() -> None:
    decided = Device(gates=[Gate("dwell", "minutes", ">=", 30.0)]).point.decide(
        {}, context={"minutes": "45"}
    )
    assert decided.decision.gates[0].reason == "minutes was not recorded"


def test_gates_remember_from_one_decision_to_the_next() -> None:
    gates = [
        Hysteresis("hot", "t", "<=", 80.0, reset=70.0),
        Duration("long", "t", "<=", 74.0, seconds=10.0),
        Rate("fast", "t", "<=", 1.0),
    ]
    device = Device(gates=gates)
    seen = []
    for seconds, t in ((0, 60.0), (5, 81.0), (15, 75.0), (20, 69.0)):
        device.clock.set(10**18 + seconds * 10**9)
        verdicts = device.point.decide({"t": t}).decision.gates
        assert [rejudge(v) for v in verdicts] == [v.verdict for v in verdicts]
        seen.append("".join(v.verdict[0] for v in verdicts))
    assert seen == ["ppb", "bpb", "bbp", "ppp"]


def test_a_gate_that_remembers_looks_on_where_it_is_not_asked() -> None:
    gates = [Gate("never", "t", ">", 1e9), Rate("fast", "t", "<=", 1.0, guards=("stop",))]
    device = Device(lambda values: values["t"] / 100, gates=gates, asked="first block")
    for seconds, t in ((0, 10.0), (10, 60.0), (20, 61.0)):
        device.clock.set(10**18 + seconds * 10**9)
        decided = device.point.decide({"t": t})
        assert [v.name for v in decided.decision.gates] == ["never"]
    assert device.point._remembered == {1: (61.0, 20 * 10**9)}


def test_all_gates_are_asked_or_those_up_to_the_first_block() -> None:
    gates = [
        Gate("first", "t", ">", 0.0),
        Gate("second", "t", ">", 1.0),
        HumanGate("third"),
        Gate("fourth", "t", ">", 2.0),
    ]
    for asked, names in (
        ("all", ["first", "second", "third", "fourth"]),
        ("first block", ["first", "second"]),
    ):
        decided = Device(gates=gates, asked=asked).point.decide({"t": 0.5})
        assert [v.name for v in decided.decision.gates] == names
        assert (decided.action, decided.decision.disposition) == ("run", "blocked")


def test_a_gate_that_modifies_makes_the_device_act_with_another_number() -> None:
    device = Device(
        gates=[Clamp("full_load", "stop", high=0.62), Clamp("worn", "stop", high=0.5)],
        value=lambda values, score: score,
        fallback_value=0.0,
    )
    decided = device.point.decide({"t": 1.0})
    assert (decided.action, decided.value) == ("stop", 0.5)
    assert decided.decision.disposition == "modified"
    assert decided.decision.recommendation is not None
    assert decided.decision.recommendation.value == 0.9
    assert [v.observed for v in decided.decision.gates] == [0.9, 0.62]
    assert same(device.sent(), decided.decision)


def test_a_blocked_action_leaves_the_number_of_the_fallback() -> None:
    for score, gates in ((0.9, [COOL]), (0.1, [])):
        device = Device(
            lambda _, score=score: score, gates=gates, value=lambda _, s: s, fallback_value=0.25
        )
        decided = device.point.decide({"temperature": 99.0})
        assert (decided.action, decided.value) == ("run", 0.25)


def test_a_person_is_waited_for_with_the_fallback_and_answers_later() -> None:
    device = Device(gates=[HumanGate("lead", guards=("stop",))])
    decided = device.point.decide({"t": 1.0})
    assert (decided.action, decided.decision.disposition) == ("run", "deferred")
    trace_id, span_id = decided.decision_id.split("-")
    review = Review(trace_id, span_id, "lead", "pass", "op-3", "seen on site", "stop")
    device.clock.set(10**18 + 240 * 10**9)
    device.recorder.record_review(review)
    span = device.spans()[-1]
    assert (span.name, span.end_time) == ("decision.review", 10**18 + 240 * 10**9)
    assert f"{span.links[0].context.trace_id:032x}" == trace_id
    assert same(decode_review(span.attributes or {}), review)


def test_how_long_model_and_gates_took_is_recorded_beside_their_budget() -> None:
    device = Device(lambda _: device.clock.set(10**18 + 412_900) or 0.9, budget_us=300)
    decided = device.point.decide({"x": 1.0})
    assert (decided.decision.latency_us, decided.decision.budget_us) == (412, 300)
    assert decided.action == "stop"
    assert same(device.sent(), decided.decision)
    assert Device().point.decide({"x": 1.0}).decision.latency_us is None


def test_what_is_withheld_never_leaves_and_the_device_still_acts_on_it() -> None:
    privacy = Privacy(
        inputs={"temperature": "drop"}, context={"enduser.*": "pseudonymise"}, key=bytes(16)
    )
    device = Device(gates=[COOL], privacy=privacy)
    decided = device.point.decide({"temperature": 91.5}, context={"enduser.id": "anna"})
    assert decided.decision.gates[0].reason == "temperature 91.5 is not <= 80"
    assert same(device.sent(), privacy.decision(decided.decision))
    assert device.sent().withheld == ("temperature",)
    assert "anna" not in repr(device.spans()[0].attributes)
    assert "91.5" not in repr(device.spans()[0].attributes)


def test_a_policy_that_fails_records_nothing_rather_than_the_truth() -> None:
    device = Device(privacy=Privacy(inputs=_Failing({"x": "drop"})))
    decided = device.point.decide({"x": 1.0})
    assert (decided.action, decided.decision_id, device.spans()) == ("stop", "", ())


class _Failing(dict[Any, Any]):
    def get(self, *_: Any) -> Any:
        raise RuntimeError


def test_what_is_recorded_is_what_the_model_consumed() -> None:
    seen: list[Any] = []

    def predict(values: Mapping[str, Any]) -> float:
        seen.append(values)
        return 0.9

    inputs = {"a": np.float32(0.1), "b": np.int64(3), "c": True, "d": None, "e": np.float64(2.5)}
    decided = Device(predict).point.decide(
        inputs, categoricals={"valve": np.str_("open"), "mode": None}
    )  # type: ignore[dict-item]
    assert same(seen, [{**decided.decision.inputs, **decided.decision.categoricals}])
    assert {type(value) for value in decided.decision.inputs.values()} == {float}
    assert decided.decision.inputs["a"] == float(np.float32(0.1))
    assert math.isnan(decided.decision.inputs["d"])
    assert decided.decision.categoricals == {"valve": "open", "mode": ""}


def test_numpy_scalars_arrive_as_numbers() -> None:
    device = Device(lambda _: np.float32(0.75))
    device.point.decide(
        {"x": np.float32(1.5)},
        context={"a": np.float32(1.5), "b": np.int64(2), "c": np.bool_(True)},
    )
    assert device.sent().context == {"a": 1.5, "b": 2, "c": True}
    assert device.sent().recommendation is not None
    assert device.sent().recommendation.score == 0.75  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("given_", "arrives"),
    [
        (2**63, "9223372036854775808"),
        (-(2**63), -(2**63)),
        ("caf\udce9", "caf\\udce9"),
        ([1, 2], "[1, 2]"),
        (None, "None"),
        (np.zeros(2), "[0. 0.]"),
        (b"\xff", "b'\\xff'"),
    ],
    ids=repr,
)
def test_context_that_no_span_can_carry_arrives_as_text_and_does_not_change_the_action(
    given_: Any, arrives: Any
) -> None:
    device = Device()
    assert device.point.decide({"x": 1.0}, context={"odd": given_}).action == "stop"
    assert device.sent().context == {"odd": arrives}


def test_context_that_cannot_even_be_printed_does_not_change_the_action() -> None:
    class Mute:
        def __str__(self) -> str:
            raise RuntimeError

    device = Device()
    assert device.point.decide({"x": 1.0}, context={"odd": Mute()}).action == "stop"  # type: ignore[dict-item]
    assert device.sent().context == {"odd": "<Mute>"}


def test_names_that_are_no_text_become_text() -> None:
    device = Device()
    device.point.decide({3: 1.0, "\ud800": 2.0}, context={5: "x"})  # type: ignore[dict-item]
    assert device.sent().inputs == {"3": 1.0, "\\ud800": 2.0}
    assert device.sent().context == {"5": "x"}


@pytest.mark.parametrize(
    "predict",
    [raising(ValueError("no")), lambda _: None, lambda _: "high", lambda _: np.zeros(3), 7],
    ids=["raises", "none", "text", "array", "no function"],
)
def test_a_model_that_fails_makes_the_device_fall_back_and_the_span_an_error(predict: Any) -> None:
    device = Device(predict)
    decided = device.point.decide({"x": 1.0})
    assert (decided.action, decided.decision.disposition) == ("run", "blocked")
    (span,) = device.spans()
    assert span.status.status_code == trace.StatusCode.ERROR
    assert span.attributes is not None
    assert span.attributes["error.type"]
    assert device.sent().disposition == "blocked"


def test_a_decision_that_failed_records_what_was_handed_in() -> None:
    device = Device(raising(ValueError("no")), fallback_value=0.0, privacy=None)
    device.point.decide(
        {"x": 1.5, "y": "hot", "z": None},  # type: ignore[dict-item]
        categoricals={"valve": "open"},
        context={"mode": "auto"},
    )
    sent = device.sent()
    assert same(sent.inputs, {"x": 1.5, "y": math.nan, "z": math.nan})
    assert (sent.categoricals, sent.context) == ({"valve": "open"}, {"mode": "auto"})
    assert sent.value == 0.0


def test_a_blocked_action_is_no_error() -> None:
    device = Device(gates=[COOL])
    device.point.decide({"temperature": 91.5})
    assert device.spans()[0].status.status_code == trace.StatusCode.UNSET


@given(VALUES, VALUES, VALUES, VALUES, st.sampled_from([(), ["no gate"], [COOL], None]))
def test_deciding_never_raises(
    inputs: Any, categoricals: Any, context_: Any, score: Any, gates: Any
) -> None:
    device = Device(lambda _: score, gates=gates)
    decided = device.point.decide(inputs, categoricals=categoricals, context=context_)
    assert decided.action in ("run", "stop")
    if decided.decision_id:
        assert len(device.spans()) == 1


@pytest.mark.parametrize("what", ["processor", "exporter"])
def test_an_exporter_that_raises_does_not_reach_the_device(what: str) -> None:
    once = iter([OSError("disk full")])

    class Raising(SpanExporter):
        def export(self, spans: Any) -> Any:
            raise OSError("disk full")

        def shutdown(self) -> None:
            for error in once:
                raise error

    given_: dict[str, Any] = {"processor": SimpleSpanProcessor(Raising())}
    if what == "exporter":
        given_ = {"exporter": Raising()}
    recorder = Recorder(device_id="d", service="s", **given_)
    point = DecisionPoint("pump.stop", MODEL, lambda _: 0.9, 0.5, ("run", "stop"), recorder)
    assert point.decide({"x": 1.0}).action == "stop"
    recorder.flush()
    recorder.shutdown()


def test_a_clock_that_fails_costs_the_record_but_not_the_action() -> None:
    class NoClock:
        boot_id = "b"
        synced = False

        def wall_ns(self) -> int:
            raise OSError

        def monotonic_ns(self) -> int:
            raise OSError

    device = Device(clock=NoClock())
    decided = device.point.decide({"x": 1.0})
    assert (decided.action, decided.decision_id, device.recorder.failures) == ("stop", "", 1)


def test_nothing_is_sampled_away_under_an_unsampled_parent() -> None:
    device = Device()
    parent = trace.SpanContext(1, 2, is_remote=True, trace_flags=trace.TraceFlags(0))
    token = context.attach(trace.set_span_in_context(trace.NonRecordingSpan(parent)))
    try:
        decided = device.point.decide({"x": 1.0})
    finally:
        context.detach(token)
    assert len(device.spans()) == 1
    assert decided.decision_id.startswith(f"{1:032x}-")


def test_more_attributes_than_the_sdk_keeps_by_default_are_all_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_ATTRIBUTE_COUNT_LIMIT", "8")
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "8")
    monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    device = Device()
    decided = device.point.decide({"x": 1.0}, context={f"c{n}": "long text" for n in range(300)})
    assert same(device.sent(), decided.decision)


def test_a_disabled_sdk_gives_no_id_of_a_span_that_is_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert Device().point.decide({"x": 1.0}).decision_id == ""


def test_the_id_is_that_of_the_span_and_its_end_is_the_instant_of_the_decision() -> None:
    device = Device(lambda _: device.clock.set(10**18 + 5000) or 0.9)
    decided = device.point.decide({"x": 1.0})
    (span,) = device.spans()
    assert decided.decision_id == f"{span.context.trace_id:032x}-{span.context.span_id:016x}"
    assert (span.start_time, span.end_time) == (10**18, 10**18 + 5000)
    assert span.name == "decision pump.stop"
    assert decided.decision.clock is not None
    assert decided.decision.clock.monotonic_ns == 5000


def test_an_outcome_is_a_span_that_links_to_its_decision() -> None:
    device = Device()
    decided = device.point.decide({"x": 1.0})
    trace_id, span_id = decided.decision_id.split("-")
    outcome = Outcome(trace_id, span_id, "failed", "sensor", 10**18, 1.0)
    device.recorder.record_outcome(outcome)
    span = device.spans()[-1]
    assert span.name == "decision.outcome"
    assert f"{span.links[0].context.span_id:016x}" == span_id
    assert same(decode_outcome(span.attributes or {}), outcome)


def test_what_cannot_be_recorded_is_counted() -> None:
    recorder = Device().recorder
    assert recorder.record(None) == ""  # type: ignore[arg-type]
    recorder.record_outcome(Outcome("no hex", "", "x", "y", 1))
    assert recorder.failures == 2


def test_resource_and_scope_say_who_decided_and_by_which_schema() -> None:
    device = Device()
    device.point.decide({"x": 1.0})
    (span,) = device.spans()
    required = {a.name for a in REGISTRY if a.on == "resource" and a.required}
    assert required <= span.resource.attributes.keys()
    assert span.resource.attributes["device.id"] == "pump-07"
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.schema_url == SCHEMA_URL


def test_every_name_that_the_recorder_writes_is_registered() -> None:
    device = Device(raising(ValueError()), gates=[COOL], budget_us=9)
    device.point.decide({"x": 1.0}, context={"mode": "auto"})
    device.recorder.record_review(Review("a" * 32, "b" * 16, "g", "pass", "op-3", "r", "run"))
    device.recorder.record_outcome(Outcome("a" * 32, "b" * 16, "x", "y", 1, 2.0))
    for span in device.spans():
        assert {
            name for name in span.attributes or {} if not name.startswith("decision.context.")
        } <= NAMES
