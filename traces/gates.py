"""Declarative rule gates: the step between a recommendation and an action.

A gate is data, so the verdict that a device gave can be given again on the server from the record
alone. No other file compares an observed value with a limit.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from traces.decision import Disposition, GateVerdict
from traces.errors import WrongUse

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True, slots=True)
class Gate:
    """A rule that lets an action pass while `input operator limit` holds.

    `input` names a model input or a numeric context value. `guards` lists the actions that the
    gate is asked about; empty means every action. A missing or non-finite value blocks.

    >>> Gate("max_temperature", "temperature", "<=", 80.0).judge({"temperature": 91.5})
    GateVerdict(name='max_temperature', kind='rule', verdict='block', \
reason='temperature 91.5 is not <= 80', input='temperature', operator='<=', limit=80.0, observed=91.5)
    """

    name: str
    input: str
    operator: str
    limit: float
    guards: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.operator not in OPERATORS:
            raise WrongUse(
                f"operator {self.operator!r} in gate {self.name!r}",
                "one of " + " ".join(OPERATORS),
                "a gate passes while `input operator limit` holds",
            )

    def guards_action(self, action: str) -> bool:
        """Whether this gate is asked before `action`."""
        return not self.guards or action in self.guards

    def judge(self, values: Mapping[str, object]) -> GateVerdict:
        """Give the verdict for the observed `values` (inputs and context by name). Never raises."""
        observed = _number(values.get(self.input))
        passes = holds(self.operator, observed, self.limit)
        return GateVerdict(
            name=self.name,
            kind="rule",
            verdict="pass" if passes else "block",
            reason="" if passes else self._reason(observed),
            input=self.input,
            operator=self.operator,
            limit=float(self.limit),
            observed=observed,
        )

    def _reason(self, observed: float) -> str:
        if math.isnan(observed):
            return f"{self.input} was not recorded"
        if math.isinf(observed):
            return f"{self.input} {observed:g} is not finite"
        said, limit = f"{observed:g}", f"{self.limit:g}"
        if said == limit:
            said, limit = repr(observed), repr(float(self.limit))
        return f"{self.input} {said} is not {self.operator} {limit}"


def holds(operator_: str, observed: float, limit: float) -> bool:
    """Whether `observed operator limit` is true; a value that is not finite satisfies nothing.

    >>> holds("<=", 80.0, 80.0), holds("!=", math.nan, 1.0)
    (True, False)
    """
    return math.isfinite(observed) and OPERATORS[operator_](observed, limit)


def rejudge(verdict: GateVerdict) -> str | None:
    """Give a recorded rule verdict again from its own record; None where it cannot be replayed.

    A `modify` or `defer` of a rule counts as given again when its rule does not hold.
    """
    if verdict.kind != "rule" or verdict.operator not in OPERATORS:
        return None
    if holds(verdict.operator, verdict.observed, verdict.limit):
        return "pass"
    return "block" if verdict.verdict == "pass" else verdict.verdict


def margin(verdict: GateVerdict) -> float | None:
    """Distance from the observed value to the limit, positive on the passing side.

    In the unit of the gate's input; None for gates without an ordered limit.
    """
    if not (math.isfinite(verdict.limit) and math.isfinite(verdict.observed)):
        return None
    if verdict.operator in ("<", "<="):
        return verdict.limit - verdict.observed
    if verdict.operator in (">", ">="):
        return verdict.observed - verdict.limit
    return None


def disposition(verdicts: Iterable[GateVerdict]) -> Disposition:
    """What the verdicts together make of a recommendation: the strictest one wins."""
    said = {verdict.verdict for verdict in verdicts}
    if "block" in said:
        return "blocked"
    if "defer" in said:
        return "deferred"
    return "modified" if "modify" in said else "executed"


def binding(verdicts: Iterable[GateVerdict]) -> GateVerdict | None:
    """The gate that decided the disposition: the first whose verdict is the strictest one given."""
    verdicts = tuple(verdicts)
    for said in ("block", "defer", "modify"):
        for verdict in verdicts:
            if verdict.verdict == said:
                return verdict
    return None


def _number(value: object) -> float:
    try:
        return float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError, OverflowError):
        return math.nan
