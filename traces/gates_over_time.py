"""Gates that remember: hysteresis, duration and rate of change.

A gate stays data: what it remembers goes in and out of `step`, and the decision point keeps it. Each
verdict states one comparison, of what was observed over time with the limit in force then.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from traces.decision import GateVerdict
from traces.errors import WrongUse
from traces.gates import compared, holds, measured, require_operator, short

_ORDERED = ("<", "<=", ">", ">=")


@dataclass(frozen=True, slots=True)
class Hysteresis:
    """A rule that trips at `limit` and, once tripped, passes again only at the stricter `reset`.

    The verdict observes `<input>` and compares it with `limit`; of a gate that was tripped before, it
    observes `tripped(<input>)` and compares it with `reset`. A missing value blocks and changes nothing.

    >>> gate = Hysteresis("hot", "temperature", "<=", 80.0, reset=70.0)
    >>> verdict, tripped = gate.step({"temperature": 75.0}, True, 0)
    >>> verdict.reason, tripped
    ('temperature 75 is not <= 70, where it resets after it tripped at 80', True)
    >>> verdict.input, verdict.limit
    ('tripped(temperature)', 70.0)
    """

    name: str
    input: str
    operator: str
    limit: float
    reset: float
    guards: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_operator(self.name, self.operator, _ORDERED)
        if self.reset != self.limit and not holds(self.operator, self.reset, self.limit):
            raise WrongUse(
                f"reset {self.reset} in gate {self.name!r}",
                f"a number {self.operator} its limit {self.limit}",
                "a tripped gate passes again where all is clearly in order",
            )

    def guards_action(self, action: str) -> bool:
        """Whether this gate is asked before `action`."""
        return not self.guards or action in self.guards

    def step(
        self,
        values: Mapping[str, object],
        tripped: bool | None,
        now_ns: int | None,  # noqa: ARG002
    ) -> tuple[GateVerdict, bool]:
        """The verdict, and whether the gate is tripped from now on. Never raises."""
        observed = measured(values.get(self.input))
        input_, limit, because = self.input, self.limit, ""
        if tripped:
            input_, limit = f"tripped({self.input})", self.reset
            because = _unmeasured(self.input, observed)
            if math.isfinite(observed):
                because = (
                    f"{self.input} {short(observed)} is not {self.operator} {short(limit)}, "
                    f"where it resets after it tripped at {short(self.limit)}"
                )
        verdict = compared(self.name, input_, self.operator, limit, observed, because=because)
        if math.isfinite(observed):
            return verdict, verdict.verdict != "pass"
        return verdict, bool(tripped)


@dataclass(frozen=True, slots=True)
class Duration:
    """A rule that blocks once `input operator limit` has been broken for `seconds`.

    Time is the monotonic clock's, from the first decision that saw the rule broken. The verdict
    observes `breach(<rule>)` in seconds, 0 while the rule holds. A missing value blocks and changes
    nothing.

    >>> gate = Duration("hot", "temperature", "<=", 80.0, seconds=10.0)
    >>> verdict, since_ns = gate.step({"temperature": 90.0}, 0, 12_000_000_000)
    >>> verdict.input, verdict.observed, verdict.reason
    ('breach(temperature <= 80)', 12.0, 'temperature <= 80 is broken for 12 s, less than 10 s are allowed')
    """

    name: str
    input: str
    operator: str
    limit: float
    seconds: float
    guards: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_operator(self.name, self.operator)
        if not (math.isfinite(self.seconds) and self.seconds > 0):
            raise WrongUse(f"{self.seconds} seconds in gate {self.name!r}", "more than none")

    def guards_action(self, action: str) -> bool:
        """Whether this gate is asked before `action`."""
        return not self.guards or action in self.guards

    def step(
        self, values: Mapping[str, object], since_ns: int | None, now_ns: int | None
    ) -> tuple[GateVerdict, int | None]:
        """The verdict, and since when the rule is broken, None while it holds. Never raises."""
        observed = measured(values.get(self.input))
        if not math.isfinite(observed):
            return self._verdict(math.nan, _unmeasured(self.input, observed)), since_ns
        if holds(self.operator, observed, self.limit):
            return self._verdict(0.0), None
        rule = self._rule()
        if now_ns is None:
            return self._verdict(math.nan, f"no clock says how long {rule} is broken"), since_ns
        since_ns = now_ns if since_ns is None else since_ns
        lasted = (now_ns - since_ns) / 1e9
        allowed = f"less than {short(self.seconds)} s are allowed"
        return self._verdict(lasted, f"{rule} is broken for {short(lasted)} s, {allowed}"), since_ns

    def _rule(self) -> str:
        return f"{self.input} {self.operator} {short(self.limit)}"

    def _verdict(self, lasted: float, because: str = "") -> GateVerdict:
        breach = f"breach({self._rule()})"
        return compared(self.name, breach, "<", self.seconds, lasted, because=because)


@dataclass(frozen=True, slots=True)
class Rate:
    """A rule on the change of `input` per second since the decision before.

    The verdict observes `rate(<input>)`, signed. Where there is no earlier value, or no time has
    passed, nothing is measured and it blocks; so does a missing value, which changes nothing.

    >>> gate = Rate("rise", "temperature", "<=", 2.0)
    >>> verdict, last = gate.step({"temperature": 90.0}, (80.0, 0), 2_000_000_000)
    >>> verdict.input, verdict.observed, verdict.reason
    ('rate(temperature)', 5.0, 'rate(temperature) 5 is not <= 2')
    """

    name: str
    input: str
    operator: str
    limit: float
    guards: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_operator(self.name, self.operator)

    def guards_action(self, action: str) -> bool:
        """Whether this gate is asked before `action`."""
        return not self.guards or action in self.guards

    def step(
        self,
        values: Mapping[str, object],
        last: tuple[float, int] | None,
        now_ns: int | None,
    ) -> tuple[GateVerdict, tuple[float, int] | None]:
        """The verdict, and the value and instant to measure the next change from. Never raises."""
        observed = measured(values.get(self.input))
        if not math.isfinite(observed):
            return self._verdict(math.nan, _unmeasured(self.input, observed)), last
        if now_ns is None:
            return self._verdict(math.nan, f"no clock says how fast {self.input} changes"), last
        if last is None:
            because = f"{self.input} has no earlier value to change from"
            return self._verdict(math.nan, because), (observed, now_ns)
        before, then_ns = last
        if now_ns <= then_ns:
            because = f"no time has passed since the last value of {self.input}"
            return self._verdict(math.nan, because), last
        return self._verdict((observed - before) * 1e9 / (now_ns - then_ns)), (observed, now_ns)

    def _verdict(self, per_second: float, because: str = "") -> GateVerdict:
        input_ = f"rate({self.input})"
        return compared(self.name, input_, self.operator, self.limit, per_second, because=because)


REMEMBERING = (Hysteresis, Duration, Rate)
"""The gates that are asked by `step`, at every decision, also where they guard other actions."""


def _unmeasured(input_: str, observed: float) -> str:
    return (
        f"{input_} was not recorded"
        if math.isnan(observed)
        else f"{input_} {observed:g} is not finite"
    )
