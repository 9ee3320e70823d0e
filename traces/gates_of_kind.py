"""Gates that are no comparison of a measurement: interlock, clamp, person.

Interlock and clamp still state one comparison in their verdict, so that it can be given again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from traces.decision import GateVerdict, Scalar
from traces.errors import WrongUse
from traces.gates import compared, measured


@dataclass(frozen=True, slots=True)
class Interlock:
    """Lets an action pass while a context value or categorical is one of those allowed.

    A text equals a text, a flag a flag, a number a number. The verdict observes the truth of
    `<input> in [<allowed>]`, 1 or 0, NaN where the value is missing, which blocks; the value itself is
    on record as context.

    >>> Interlock("automatic", "mode", ("auto", "eco")).judge({"mode": "manual"}).reason
    'mode "manual" is not one of "auto", "eco"'
    """

    name: str
    input: str
    allowed: tuple[Scalar, ...]
    guards: tuple[str, ...] = ()
    _said: str = field(init=False, repr=False, compare=False, default="")

    def __post_init__(self) -> None:
        if isinstance(self.allowed, str) or not self.allowed:
            raise WrongUse(
                f"{self.allowed!r} allowed by gate {self.name!r}", "a tuple of one value or more"
            )
        listed = ", ".join(map(_quoted, self.allowed))
        object.__setattr__(self, "_said", listed)

    def guards_action(self, action: str) -> bool:
        """Whether this gate is asked before `action`."""
        return not self.guards or action in self.guards

    def judge(self, values: Mapping[str, object]) -> GateVerdict:
        """Give the verdict for the observed `values`. Never raises."""
        value = _plain(values.get(self.input))
        held = math.nan if value is None else float(self._allows(value))
        because = f"{self.input} was not recorded"
        if held == 0:
            one_of = "one of " if len(self.allowed) > 1 else ""
            because = f"{self.input} {_quoted(value)} is not {one_of}{self._said}"
        rule = f"{self.input} in [{self._said}]"
        return compared(self.name, rule, "==", 1.0, held, because=because)

    def _allows(self, value: Any) -> bool:
        kind = _kind(value)
        return any(_kind(one) == kind and one == value for one in self.allowed)


@dataclass(frozen=True, slots=True)
class Clamp:
    """Keeps the number that `action` carries between `low` and `high`, in its own unit.

    Where it lies outside, the verdict is modify and its limit is the number to act with. The verdict
    observes `value(<action>)` and compares it with the bound that is nearer. A missing number blocks.

    >>> Clamp("full_load", "throttle", high=0.62).judge({"value(throttle)": 0.9}).reason
    'value(throttle) 0.9 is not <= 0.62'
    """

    name: str
    action: str
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        if not self.low <= self.high or (math.isinf(self.low) and math.isinf(self.high)):
            raise WrongUse(
                f"the range {self.low} to {self.high} in gate {self.name!r}",
                "a bound, and the low one not above the high one",
            )

    def guards_action(self, action: str) -> bool:
        """Whether this gate is asked before `action`."""
        return action == self.action

    def judge(self, values: Mapping[str, object]) -> GateVerdict:
        """Give the verdict for the observed `values`. Never raises."""
        input_ = value_of(self.action)
        observed = measured(values.get(input_))
        at_most = observed - self.low > self.high - observed
        operator_, limit = ("<=", self.high) if at_most else (">=", self.low)
        return compared(self.name, input_, operator_, limit, observed, otherwise="modify")


@dataclass(frozen=True, slots=True)
class HumanGate:
    """Leaves an action to a person: always defers, and a later `decision.review` closes it."""

    name: str
    guards: tuple[str, ...] = ()
    reason: str = "a person has to approve"

    def guards_action(self, action: str) -> bool:
        """Whether this gate is asked before `action`."""
        return not self.guards or action in self.guards

    def judge(self, values: Mapping[str, object]) -> GateVerdict:  # noqa: ARG002
        """Defer."""
        return GateVerdict(self.name, "human", "defer", self.reason)


def value_of(action: str) -> str:
    """The name under which gates observe the number that an action carries."""
    return f"value({action})"


def about(input_: str, name: str) -> bool:
    """Whether what a verdict observed under `input_` tells something of the value `name`.

    >>> about("rate(t)", "t"), about("breach(t <= 80)", "t"), about('mode in ["auto"]', "t")
    (True, True, False)
    """
    return input_ in (name, f"rate({name})", f"tripped({name})") or input_.startswith(
        (f"breach({name} ", f"{name} in [")
    )


def _quoted(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return f"<{type(value).__name__}>"


def _plain(value: object) -> Any:
    """A text, flag or number as Python's; None where there is none, as an empty text is none."""
    if value is None or value == "":
        return None
    if isinstance(value, str | bool | int | float):
        return None if value != value else value
    try:
        return _plain(value.item())  # pyright: ignore[reportAttributeAccessIssue]
    except Exception:  # noqa: BLE001 - a value of any type, and judging never raises
        return None


def _kind(value: Any) -> type:
    return bool if isinstance(value, bool) else str if isinstance(value, str) else float
