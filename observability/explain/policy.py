"""What a device would do with other inputs: its threshold and its gates, as far as records tell.

Owns the way from a score and a row to an action. A gate that looks at a feature judges the feature's
new value; a person, a gate over time and one that looks at anything else say what they said.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from observability.models.features import Feature, encode_row
from traces import Decision, GateVerdict
from traces.decision import Disposition
from traces.errors import ModelError
from traces.gates import OPERATORS, compared, disposition, measured
from traces.gates_of_kind import Interlock

_STOPS = ("block", "defer")
_STOPPED = ("blocked", "deferred")


@dataclass(frozen=True, slots=True)
class Side:
    """What is proposed on one side of the threshold, and what the gates that guard it say here.

    `seen_in` is the decision whose record names these gates, empty where it is the decision itself.
    """

    action: str
    gates: tuple[GateVerdict, ...] = ()
    seen_in: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """How a device decided at one instant: from `threshold` on it proposes `above`, else `below`.

    A gate that blocks or defers makes it do `fallback`; one that modifies changes no action's name.
    Rows are the model's: `features` in their order, levels as their index.
    """

    features: tuple[Feature, ...]
    threshold: float
    below: Side
    above: Side
    fallback: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """What the device would do with a row, and why."""

    proposed: str
    gates: tuple[GateVerdict, ...]
    disposition: Disposition
    action: str


def policy_of(
    decision: Decision,
    features: Sequence[Feature],
    other: Decision | None = None,
    seen_in: str = "",
) -> Policy:
    """The policy behind a decision (docs/decisions/0009).

    `other`, of id `seen_in`, is the device's latest decision before this one that proposed another
    action; its gates are judged anew on what this decision saw. Raises ModelError where the records
    do not tell what the device could have done instead, or do not lead to what it did.
    """
    proposed, over = decision.recommendation, _over(decision)
    if proposed is None or proposed.score is None or over is None:
        raise ModelError("a decision without a score or a threshold", "both")
    own, opposite = Side(proposed.action, decision.gates), _opposite(decision, other, seen_in)
    below, above = (opposite, own) if over else (own, opposite)
    fell_back = (one for one in (decision, other) if one and one.disposition in _STOPPED)
    fallback = next((one.action for one in fell_back), below.action)
    policy = Policy(tuple(features), proposed.threshold or 0.0, below, above, fallback)
    row = encode_row(features, decision.inputs, decision.categoricals)
    acts = str(actions_of(policy, row, np.array([proposed.score]))[0])
    made = disposition(decision.gates)
    if (acts, made) != (decision.action, decision.disposition):
        raise ModelError(
            f"{decision.action}, {decision.disposition}, where score and gates on record give {acts}, {made}",
            "an action that follows from them",
            "something that recorded no gate took part",
        )
    return policy


def replay(policy: Policy, row: np.ndarray, score: float) -> Replayed:
    """What the device would do with a row `(n_features,)` that its model scores so."""
    side = policy.above if score >= policy.threshold else policy.below
    values = _values(policy.features, row)
    gates = tuple(judged(gate, values) for gate in side.gates)
    made = disposition(gates)
    action = policy.fallback if made in _STOPPED else side.action
    return Replayed(side.action, gates, made, action)


def actions(
    policy: Policy, scores: np.ndarray, stopped_below: np.ndarray, stopped_above: np.ndarray
) -> np.ndarray:
    """The action for each score, given whether a gate of either side would stop it; shapes `(n,)`."""
    over = scores >= policy.threshold
    proposed = np.where(over, policy.above.action, policy.below.action)
    return np.where(np.where(over, stopped_above, stopped_below), policy.fallback, proposed)


def actions_of(policy: Policy, rows: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The action for each row `(n, n_features)` and its score `(n,)`: `replay` of many."""
    below, above = (
        stopped(stops(side, policy.features, rows)) for side in (policy.below, policy.above)
    )
    return actions(policy, scores, below, above)


def stops(side: Side, features: Sequence[Feature], rows: np.ndarray) -> np.ndarray:
    """Whether each gate would block or defer in each row: `(n_gates, n)`."""
    said = [_stops(gate, features, rows) for gate in side.gates]
    return np.array(said, dtype=bool).reshape(len(side.gates), len(rows))


def stopped(said: np.ndarray) -> np.ndarray:
    """Whether at least one of the gates `(n_gates, n)` stops the device: `(n,)`."""
    return np.asarray(said.any(axis=0))


def decisive(gates: Sequence[GateVerdict]) -> tuple[bool, ...]:
    """Which gate stopped the device alone: had it passed, the device would have done what was proposed.

    The number that the action carries may still be another. Where gates are asked only up to the
    first block, those behind it are unknown and count as passing.

    >>> decisive([GateVerdict("a", "rule", "pass"), GateVerdict("b", "rule", "block")])
    (False, True)
    """
    stopping = [gate.verdict in _STOPS for gate in gates]
    return tuple(stops_here and sum(stopping) == 1 for stops_here in stopping)


def judged(gate: GateVerdict, values: Mapping[str, object]) -> GateVerdict:
    """What a gate says of other values, by name; what it said where they tell nothing of it.

    >>> hot = GateVerdict("hot", "rule", "pass", "", "t", "<=", 80.0, 70.0)
    >>> judged(hot, {"t": 91.5}).verdict, judged(hot, {"u": 91.5}).verdict
    ('block', 'pass')
    """
    observed = _observed(gate, values)
    same = observed == gate.observed or (
        observed is not None and math.isnan(observed) and math.isnan(gate.observed)
    )
    if observed is None or same:
        return gate
    otherwise = "block" if gate.verdict == "pass" else gate.verdict
    return compared(gate.name, gate.input, gate.operator, gate.limit, observed, otherwise=otherwise)


def watched(gate: GateVerdict) -> str:
    """The value that decides the gate's verdict at its instant; empty where none alone does.

    >>> watched(GateVerdict("hot", "rule", "pass", "", "tripped(t)", "<=", 70.0, 60.0))
    't'
    """
    if gate.kind != "rule" or gate.operator not in OPERATORS:
        return ""
    if gate.input.startswith("tripped(") and gate.input.endswith(")"):
        return gate.input[len("tripped(") : -1]
    name, listed, _ = gate.input.partition(" in [")
    return name if not listed or _allowed(gate) else ""


def _observed(gate: GateVerdict, values: Mapping[str, object]) -> float | None:
    name = watched(gate)
    if not name or name not in values:
        return None
    if not _allowed(gate):
        return measured(values[name])
    return Interlock(gate.name, name, _allowed(gate)).judge(values).observed


def _stops(gate: GateVerdict, features: Sequence[Feature], rows: np.ndarray) -> np.ndarray:
    place = {feature.name: at for at, feature in enumerate(features)}.get(watched(gate))
    if place is None:
        return np.full(len(rows), gate.verdict in _STOPS)
    seen, levels = rows[:, place], features[place].levels
    if levels:
        allowed = [at for at, level in enumerate(levels) if level in _allowed(gate)]
        seen = np.where(np.isnan(seen), np.nan, np.isin(seen, allowed))
    finite = np.isfinite(seen)
    compare: Callable[[Any, float], Any] = OPERATORS[gate.operator]
    passes = finite & compare(seen, gate.limit)
    return ~passes & ~(finite & (gate.verdict == "modify"))


def _allowed(gate: GateVerdict) -> tuple[str | bool | int | float, ...]:
    """What an interlock allows; empty for other gates, and for a list that cannot be read."""
    _, listed, rest = gate.input.partition(" in [")
    try:
        allowed = json.loads(f"[{rest}") if listed else []
    except ValueError:
        return ()
    return tuple(value for value in allowed if isinstance(value, str | bool | int | float))


def _values(features: Sequence[Feature], row: np.ndarray) -> dict[str, object]:
    return {
        feature.name: _level(feature, value) if feature.levels else value
        for feature, value in zip(features, row.tolist(), strict=True)
    }


def _level(feature: Feature, index: float) -> str:
    return "" if math.isnan(index) else feature.levels[int(index)]


def _over(decision: Decision) -> bool | None:
    """Whether its score reached the threshold; None where one of them was not recorded."""
    proposed = decision.recommendation
    if proposed is None or proposed.score is None or proposed.threshold is None:
        return None
    return proposed.score >= proposed.threshold


def _opposite(decision: Decision, other: Decision | None, seen_in: str) -> Side:
    """The side of the threshold on which the decision was not."""
    proposed, known = decision.recommendation, other.recommendation if other else None
    fell_back = decision.disposition in _STOPPED and proposed and decision.action != proposed.action
    if other and known and proposed and known.action != proposed.action:
        across = {_over(decision), _over(other)} == {True, False}
        if across and not (fell_back and known.action != decision.action):
            values = _seen(decision)
            return Side(known.action, tuple(judged(gate, values) for gate in other.gates), seen_in)
    if fell_back:
        return Side(decision.action)
    raise ModelError(
        "no earlier decision of this device that proposed another action",
        "one, on the other side of the threshold",
    )


def _seen(decision: Decision) -> dict[str, object]:
    """What its gates could look at, as far as it left the device."""
    seen = {**decision.context, **decision.categoricals, **decision.inputs}
    return {name: value for name, value in seen.items() if name not in decision.withheld}
