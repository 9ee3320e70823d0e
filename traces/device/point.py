"""The decision point: the one object at the place where a device decides.

It keeps recommendation apart from action: the model proposes, the gates judge, and the action is
returned. Whatever goes wrong inside, the device gets an action: the fallback.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from traces.decision import ClockReading, Decision, ModelVersion, Recommendation, Scalar
from traces.device.carried import scalar
from traces.device.recorder import Recorder
from traces.gates import Gate, disposition

_log = logging.getLogger("whence.device")


@dataclass(frozen=True, slots=True)
class Decided:
    """What the device shall do, and the record of why; `decision_id` is empty if recording failed."""

    action: str
    decision: Decision
    decision_id: str


@dataclass(frozen=True, slots=True)
class DecisionPoint:
    """Decides one type of decision on one device.

    `predict` maps inputs and categoricals by name to a score, in the unit of `threshold`. It gets
    what is recorded: floats and texts, a missing input (None) as NaN. `actions` are what to do below
    the threshold, which is also the fallback, and from the threshold on. A gate that blocks makes
    the device do the fallback.
    """

    type: str
    model: ModelVersion
    predict: Callable[[Mapping[str, Any]], float]
    threshold: float
    actions: tuple[str, str]
    recorder: Recorder
    gates: Sequence[Gate] = field(default_factory=tuple)

    def decide(
        self,
        inputs: Mapping[str, float],
        *,
        categoricals: Mapping[str, str] | None = None,
        context: Mapping[str, Scalar] | None = None,
    ) -> Decided:
        """Decide, record and return the action. Never raises."""
        started = self._wall_ns()
        try:
            decision = self._judge(inputs, categoricals or {}, context or {})
        except Exception as error:
            _log.warning("%s fell back to %s", self.type, self.actions[0], exc_info=True)
            decision = self._failed(error)
        return Decided(decision.action, decision, self.recorder.record(decision, started))

    def _judge(
        self,
        inputs: Mapping[str, float],
        categoricals: Mapping[str, str],
        context: Mapping[str, Scalar],
    ) -> Decision:
        measured = {str(name): _number(value) for name, value in inputs.items()}
        levels = {str(name): _level(value) for name, value in categoricals.items()}
        score = float(self.predict({**measured, **levels}))
        proposed = self.actions[score >= self.threshold]
        observed = {**context, **measured}
        verdicts = tuple(g.judge(observed) for g in self.gates if g.guards_action(proposed))
        made = disposition(verdicts)
        return Decision(
            type=self.type,
            model=self.model,
            recommendation=Recommendation(proposed, score, float(self.threshold)),
            inputs=measured,
            categoricals=levels,
            gates=verdicts,
            action=proposed if made == "executed" else self.actions[0],
            disposition=made,
            context={str(name): scalar(value) for name, value in context.items()},
            clock=self._clock(),
        )

    def _failed(self, error: Exception) -> Decision:
        return Decision(
            type=self.type,
            model=self.model,
            action=self.actions[0],
            disposition="blocked",
            clock=self._clock(),
            extra={"error.type": type(error).__qualname__},
        )

    def _wall_ns(self) -> int | None:
        try:
            return self.recorder.clock.wall_ns()
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
