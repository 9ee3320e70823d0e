"""One plain sentence: what the device did and why, for an operator who has to act on it.

Owns its wording and how many figures a number shows.
"""

from __future__ import annotations

import math

from observability.explain.explanation import Attributions
from observability.store.stored import StoredDecision
from traces import Decision, Recommendation
from traces.gates import binding

MOST = 0.5
"""The share of a pull from which its inputs are called most of it."""
NAMED = 3
"""Inputs that a sentence names at most."""

_DONE = {"blocked": "blocked it", "modified": "changed it", "deferred": "deferred it"}
_VERDICT = {"block": "blocked it", "modify": "changed it", "defer": "deferred it"}


def sentence(stored: StoredDecision, attributions: Attributions | None) -> str:
    """Say why, in one sentence; inputs are named only where the attributions are in order."""
    decision = stored.decision
    did = f"{stored.device_id} chose {acted(decision.action, decision.value)}"
    proposed = decision.recommendation
    if proposed is None:
        return f"{did}: no recommendation of a model was recorded{_gate_clause(decision)}."
    if decision.disposition == "executed":
        reason = _score_clause(proposed) or "as the model proposed, without a score"
        return f"{did}: {reason}{_source_clause(proposed, attributions)}."
    what = acted(proposed.action, proposed.value)
    return f"{did}: the model proposed {what}{_in_brackets(proposed)}{_gate_clause(decision)}."


def acted(action: str, value: float | None) -> str:
    """An action with the number that it carries.

    >>> acted("throttle", 0.62), acted("stop", None)
    ('throttle 0.62', 'stop')
    """
    return action if value is None else f"{action} {figures(value)}"


def figures(value: float) -> str:
    """A number in three significant figures, whole digits kept; up to a million without exponent.

    >>> figures(0.93214), figures(612.34), figures(1496.2), figures(0.5), figures(-0.000412)
    ('0.932', '612', '1496', '0.5', '-0.000412')
    """
    if not math.isfinite(value):
        return "not recorded" if math.isnan(value) else str(value)
    if value and not 1e-4 <= abs(value) < 1e6:
        return f"{value:.3g}"
    digits = 2 - math.floor(math.log10(abs(value))) if value else 0
    text = f"{value:.{max(digits, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def pulled_by(attributions: Attributions, upwards: bool) -> tuple[str, ...]:
    """The few inputs that make most of the pull upwards (or downwards); empty where few do not.

    A pull is the sum of the values of one sign; at most three inputs are named.
    """
    pull = sorted(
        (
            (abs(phi), name)
            for phi, name in zip(attributions.phi, attributions.spec.features, strict=True)
            if phi and (phi > 0) == upwards
        ),
        reverse=True,
    )
    whole = math.fsum(size for size, _ in pull)
    named, sum_ = [], 0.0
    for size, name in pull[:NAMED]:
        named.append(name)
        sum_ += size
        if sum_ > MOST * whole:
            return tuple(named)
    return ()


def _score_clause(proposed: Recommendation) -> str:
    if proposed.score is None:
        return ""
    if proposed.threshold is None:
        return f"score {figures(proposed.score)}, no threshold recorded"
    over = proposed.score - proposed.threshold
    where = f"{figures(abs(over))} {'over' if over > 0 else 'under'}" if over else "exactly at"
    return f"score {figures(proposed.score)} is {where} the threshold {figures(proposed.threshold)}"


def _source_clause(proposed: Recommendation, attributions: Attributions | None) -> str:
    if attributions is None or not attributions.adds_up:
        return ""
    if proposed.score is None or proposed.threshold is None:
        return ""
    over = proposed.score >= proposed.threshold
    names = pulled_by(attributions, upwards=over)
    if not names or (attributions.output > attributions.base) != over:
        return ""
    return (
        f"; most of it came from {_listed(names)}"
        if over
        else f"; {_listed(names)} held it down most"
    )


def _gate_clause(decision: Decision) -> str:
    gate = binding(decision.gates)
    if gate is None:
        done = _DONE.get(decision.disposition)
        return f", but something that recorded no gate {done}" if done else ""
    reason = f": {gate.reason}" if gate.reason else ""
    return f", but gate {gate.name} {_VERDICT[gate.verdict]}{reason}"


def _in_brackets(proposed: Recommendation) -> str:
    parts = [
        f"{name} {figures(value)}"
        for name, value in (("score", proposed.score), ("threshold", proposed.threshold))
        if value is not None
    ]
    return f" ({', '.join(parts)})" if parts else ""


def _listed(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
