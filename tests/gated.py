"""Stores of gated proposals whose truth a test chooses, written by the real writer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from observability.collect.decode import decode
from observability.store.write import Writer
from tests.spans import NOON, decision, group, span
from traces import Gate, GateVerdict, Outcome, Recommendation, Review
from traces.codec import encode_decision
from traces.codec_later import encode_outcome, encode_review
from traces.decision import Verdict
from traces.device import RecordedClock
from traces.gates import disposition

DWELL = Gate("dwell", "minutes_running", ">=", 30.0)
FLOW = Gate("flow", "flow", "<=", 100.0)
HOUR = 3600 * 10**9
END = NOON + 30 * 24 * HOUR


@dataclass(frozen=True)
class Case:
    """A proposal, to stop where `score` is .5 or more; `n` of the same. Without `needed` it has no label."""

    needed: bool | None = None
    n: int = 1
    score: float = 0.9
    dwell: float = 60.0
    flow: float = 50.0
    said: Verdict | None = None
    person: str = "op-1"
    answered: Verdict | None = None
    probability: float | None = None
    carried_out: bool | None = None
    type: str = "pump.stop"
    days: float = 0.0


def spans_of(cases: Iterable[Case]) -> Iterator[tuple[Span, list[Span]]]:
    """Decisions, one each minute from `days` after noon on, and what was said of each later."""
    every = [case for case in cases for _ in range(case.n)]
    for number, case in enumerate(every):
        yield _spans(case, NOON + int(case.days * 24 * HOUR) + number * HOUR // 60)


def write(store: Path, cases: Iterable[Case]) -> Path:
    """A store of recorded time that holds the cases, as imported."""
    every = [one for about, later in spans_of(cases) for one in (about, *later)]
    with Writer(store, RecordedClock(END)) as writer:
        writer.write(decode([group(every)], origin="import", identity="unverified").batch())
    return store


def outcome(about: Span, needed: bool, after_ns: int = 2 * HOUR) -> Span:
    """A label of a decision, observed that long after it."""
    at = about.end_time_unix_nano + after_ns
    label = "fault" if needed else "no_fault"
    ids = about.trace_id.hex(), about.span_id.hex()
    said = Outcome(*ids, label, "inspection", at, float(needed))
    return span(encode_outcome(said), "decision.outcome")


def _spans(case: Case, at: int) -> tuple[Span, list[Span]]:
    acts = case.score >= 0.5
    values = {"minutes_running": case.dwell, "flow": case.flow}
    gates = (DWELL.judge(values), FLOW.judge(values)) if acts else ()
    if case.said is not None:
        gates = (*gates, GateVerdict("approval", "human", case.said))
    proposed = "stop" if acts else "run"
    made = disposition(gates)
    if case.carried_out is not None:
        made = "executed" if case.carried_out else "blocked"
    value = decision(
        case.type,
        recommendation=Recommendation(proposed, case.score, 0.5),
        inputs={"flow": case.flow},
        context={"minutes_running": case.dwell, "operator": case.person, "site": "north"},
        gates=gates,
        action=proposed if made == "executed" else "run",
        disposition=made,
        pass_probability=case.probability,
    )
    ends = {"start_time_unix_nano": at - 40 * 10**9, "end_time_unix_nano": at}
    about = span(encode_decision(value), f"decision {case.type}", **ends)
    later = [] if case.needed is None else [outcome(about, case.needed)]
    if case.answered is not None:
        ids = about.trace_id.hex(), about.span_id.hex()
        answer = Review(*ids, "approval", case.answered, "op-9")
        at_ns = {"start_time_unix_nano": at, "end_time_unix_nano": at + 300 * 10**9}
        later.append(span(encode_review(answer), "decision.review", **at_ns))
    return about, later
