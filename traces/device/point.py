"""The decision point: the one object at the place where a device decides.

It keeps recommendation apart from action: the model proposes, the gates judge, and the action is
returned. Whatever goes wrong inside, the device gets an action: the fallback.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from traces.decision import (
    ClockReading,
    Decision,
    GateVerdict,
    ModelVersion,
    Recommendation,
    Scalar,
)
from traces.device.carried import scalar
from traces.device.recorder import Recorder
from traces.device.scorer import Predict, scorer
from traces.gates import Gate, disposition
from traces.gates_of_kind import Clamp, HumanGate, Interlock, value_of
from traces.gates_over_time import REMEMBERING, Duration, Hysteresis, Rate

AnyGate = Gate | Hysteresis | Duration | Rate | Interlock | Clamp | HumanGate

_log = logging.getLogger("whence.device")


@dataclass(frozen=True, slots=True)
class Decided:
    """What the device shall do, and the record of why; `decision_id` is empty if recording failed."""

    action: str
    decision: Decision
    decision_id: str

    @property
    def value(self) -> float | None:
        """The number to act with, in the action's own unit; None where it carries none."""
        return self.decision.value


@dataclass(frozen=True, slots=True)
class DecisionPoint:
    """Decides one type of decision on one device, one decision at a time.

    `predict` maps inputs and categoricals by name to a score, in the unit of `threshold`; a LightGBM
    Booster or an ONNX session is one too, by `scorer`, with the inputs in the order of `features`. It
    gets what is recorded: floats and texts, a missing input (None) as NaN. `actions` are what to do
    below the threshold, which is also the fallback, and from the threshold on. `value` gives the
    number that the second carries, from what the model saw and its score; `fallback_value` is the
    first one's.

    A gate that blocks or defers makes the device do the fallback; one that modifies, do what was
    proposed with another number. `asked` is whether all gates are asked in their order or only those
    up to the first block. What gates remember begins anew with the process. `budget_us` is how long
    model and gates may take, microseconds; it is recorded, not enforced.
    """

    type: str
    model: ModelVersion
    predict: Any
    threshold: float
    actions: tuple[str, str]
    recorder: Recorder
    gates: Sequence[AnyGate] = field(default_factory=tuple)
    asked: Literal["all", "first block"] = "all"
    features: Sequence[str] = ()
    value: Callable[[Mapping[str, Any], float], float] | None = None
    fallback_value: float | None = None
    budget_us: int | None = None
    _score: Predict = field(init=False, repr=False, compare=False)
    _remembered: dict[int, Any] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_score", scorer(self.predict, self.features))

    def decide(
        self,
        inputs: Mapping[str, float],
        *,
        categoricals: Mapping[str, str] | None = None,
        context: Mapping[str, Scalar] | None = None,
    ) -> Decided:
        """Decide, record and return the action. Never raises."""
        started, started_ns = self._wall_ns(), self._monotonic_ns()
        try:
            decision = self._judge(inputs, categoricals or {}, context or {}, started_ns)
        except Exception as error:
            _log.warning("%s fell back to %s", self.type, self.actions[0], exc_info=True)
            decision = self._failed(error, inputs, categoricals, context, started_ns)
        return Decided(decision.action, decision, self.recorder.record(decision, started))

    def _judge(
        self,
        inputs: Mapping[str, float],
        categoricals: Mapping[str, str],
        context: Mapping[str, Scalar],
        now_ns: int | None,
    ) -> Decision:
        measured = {str(name): _number(value) for name, value in inputs.items()}
        levels = {str(name): _level(value) for name, value in categoricals.items()}
        seen = {**measured, **levels}
        score = float(self._score(seen))
        proposed = self._proposed(seen, score)
        verdicts, value = self._verdicts(proposed, {**context, **levels, **measured}, now_ns)
        made = disposition(verdicts)
        does = made in ("executed", "modified")
        clock = self._clock()
        return Decision(
            type=self.type,
            model=self.model,
            recommendation=proposed,
            inputs=measured,
            categoricals=levels,
            gates=verdicts,
            action=proposed.action if does else self.actions[0],
            disposition=made,
            context={str(name): scalar(of) for name, of in context.items()},
            value=value if does else self.fallback_value,
            latency_us=_latency_us(now_ns, clock),
            budget_us=self.budget_us,
            clock=clock,
        )

    def _proposed(self, seen: Mapping[str, Any], score: float) -> Recommendation:
        threshold = float(self.threshold)
        if not score >= threshold:
            return Recommendation(self.actions[0], score, threshold, self.fallback_value)
        value = None if self.value is None else float(self.value(seen, score))
        return Recommendation(self.actions[1], score, threshold, value)

    def _verdicts(
        self, proposed: Recommendation, observed: dict[str, Any], now_ns: int | None
    ) -> tuple[tuple[GateVerdict, ...], float | None]:
        """What the gates say to the proposal, and the number that they leave it."""
        value, verdicts, ended = proposed.value, [], False
        if value is not None:
            observed[value_of(proposed.action)] = value
        for place, gate in enumerate(self.gates):
            asked = not ended and gate.guards_action(proposed.action)
            if isinstance(gate, REMEMBERING):
                before = self._remembered.get(place)
                verdict, self._remembered[place] = gate.step(observed, before, now_ns)
                if not asked:
                    continue
            elif asked:
                verdict = gate.judge(observed)
            else:
                continue
            verdicts.append(verdict)
            if verdict.verdict == "modify":
                observed[value_of(proposed.action)] = value = verdict.limit
            ended = verdict.verdict == "block" and self.asked == "first block"
        return tuple(verdicts), value

    def _failed(
        self, error: Exception, inputs: Any, categoricals: Any, context: Any, now_ns: int | None
    ) -> Decision:
        """The fallback, with what was handed in as far as it can be recorded."""
        clock = self._clock()
        return Decision(
            type=self.type,
            model=self.model,
            inputs=_taken(inputs, _number, math.nan),
            categoricals=_taken(categoricals, _level, ""),
            action=self.actions[0],
            disposition="blocked",
            context=_taken(context, scalar, ""),
            value=self.fallback_value,
            latency_us=_latency_us(now_ns, clock),
            budget_us=self.budget_us,
            clock=clock,
            extra={"error.type": type(error).__qualname__},
        )

    def _wall_ns(self) -> int | None:
        try:
            return self.recorder.clock.wall_ns()
        except Exception:
            return None

    def _monotonic_ns(self) -> int | None:
        try:
            return self.recorder.clock.monotonic_ns()
        except Exception:
            return None

    def _clock(self) -> ClockReading | None:
        try:
            clock = self.recorder.clock
            return ClockReading(clock.boot_id, clock.monotonic_ns(), clock.synced)
        except Exception:
            return None


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _level(value: Any) -> str:
    return "" if value is None else str(value)


def _taken(given: Any, read: Callable[[Any], Any], else_: Any) -> dict[str, Any]:
    """What was handed in by name, each value as it is read, or `else_`. Never raises."""
    taken: dict[str, Any] = {}
    try:
        for name, value in given.items():
            try:
                taken[str(name)] = read(value)
            except Exception:
                taken[str(name)] = else_
    except Exception:
        return taken
    return taken


def _latency_us(started_ns: int | None, clock: ClockReading | None) -> int | None:
    """Microseconds since the start, at least 1; None where the clock stands still or fails."""
    if started_ns is None or clock is None or clock.monotonic_ns <= started_ns:
        return None
    return max(1, (clock.monotonic_ns - started_ns) // 1000)
