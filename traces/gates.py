"""Declarative gates: the step between a recommendation and an action.

A gate is data, so the verdict that a device gave can be given again on the server from the record
alone. No other file compares an observed value with a limit. Gates that remember are in
gates_over_time.py; interlocks, clamps and people in gates_of_kind.py.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from traces.decision import Disposition, GateVerdict, Verdict
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

    `input` names a model input, a numeric context value or `value(<action>)`, the number that the
    proposed action carries. `guards` lists the actions that the gate is asked about; empty means
    every action. `otherwise` is its verdict where the rule does not hold: block, or defer to a
    person. A missing or non-finite value blocks.

    >>> Gate("max_temperature", "temperature", "<=", 80.0).judge({"temperature": 91.5})
    GateVerdict(name='max_temperature', kind='rule', verdict='block', \
reason='temperature 91.5 is not <= 80', input='temperature', operator='<=', limit=80.0, observed=91.5)
    """

    name: str
    input: str
    operator: str
    limit: float
    guards: tuple[str, ...] = ()
    otherwise: Literal["block", "defer"] = "block"

    def __post_init__(self) -> None:
        require_operator(self.name, self.operator)

    def guards_action(self, action: str) -> bool:
        """Whether this gate is asked before `action`."""
        return not self.guards or action in self.guards

    def judge(self, values: Mapping[str, object]) -> GateVerdict:
        """Give the verdict for the observed `values` (inputs and context by name). Never raises."""
        observed = measured(values.get(self.input))
        return compared(
            self.name, self.input, self.operator, self.limit, observed, otherwise=self.otherwise
        )


def require_operator(gate: str, operator_: str, allowed: Iterable[str] = OPERATORS) -> None:
    """Raise WrongUse where the gate of that name has an operator that is not allowed."""
    if operator_ not in allowed:
        raise WrongUse(
            f"operator {operator_!r} in gate {gate!r}",
            "one of " + " ".join(allowed),
            "a gate passes while `input operator limit` holds",
        )


def compared(
    name: str,
    input_: str,
    operator_: str,
    limit: float,
    observed: float,
    *,
    otherwise: Verdict = "block",
    because: str = "",
) -> GateVerdict:
    """The verdict of a rule on one observation: pass, or `otherwise`, or block if it is not finite.

    `because` is the reason in other words than "input observed is not operator limit".
    """
    limit = float(limit)
    if holds(operator_, observed, limit):
        return GateVerdict(name, "rule", "pass", "", input_, operator_, limit, observed)
    verdict = otherwise if math.isfinite(observed) else "block"
    reason = because or _reason(input_, operator_, limit, observed)
    return GateVerdict(name, "rule", verdict, reason, input_, operator_, limit, observed)


def measured(value: object) -> float:
    """A number that was observed; NaN for what is none, such as a text that looks like one.

    >>> measured(3), measured("3"), measured(None)
    (3.0, nan, nan)
    """
    if type(value) is float:
        return value
    if isinstance(value, str | bytes | bytearray):
        return math.nan
    try:
        return float(value)  # pyright: ignore[reportArgumentType]
    except Exception:  # noqa: BLE001 - a value of any type, and judging never raises
        return math.nan


def short(number: float) -> str:
    """A number in as few digits as tell it apart from every other.

    >>> short(80.0), short(80.0000001)
    ('80', '80.0000001')
    """
    text = f"{number:g}"
    return text if float(text) == number else repr(number)


def _reason(input_: str, operator_: str, limit: float, observed: float) -> str:
    if math.isnan(observed):
        return f"{input_} was not recorded"
    if math.isinf(observed):
        return f"{input_} {observed:g} is not finite"
    said, allowed = f"{observed:g}", f"{limit:g}"
    if said == allowed:
        said, allowed = repr(observed), repr(float(limit))
    return f"{input_} {said} is not {operator_} {allowed}"


def holds(operator_: str, observed: float, limit: float) -> bool:
    """Whether `observed operator limit` is true; a value that is not finite satisfies nothing.

    >>> holds("<=", 80.0, 80.0), holds("!=", math.nan, 1.0)
    (True, False)
    """
    return math.isfinite(observed) and OPERATORS[operator_](observed, limit)


def rejudge(verdict: GateVerdict) -> str | None:
    """Give a recorded rule verdict again from its own record; None where it cannot be replayed.

    Every kind of rule states one comparison, of what it observed with the limit in force then. A
    `modify` or `defer` of a rule counts as given again when its rule does not hold. A person cannot
    be replayed, nor can what was withheld on the device, which leaves no operator.
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
