"""What else the device could have done: the smallest flips, and who had which share in what it did.

Owns what can be changed and what a change is measured in: the device's own spread of each input.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from observability.explain.candidates import Lever
from observability.explain.flip import Flips, smallest_flips
from observability.explain.policy import policy_of
from observability.explain.shares import Shares, shares
from observability.explain.usual import UNKNOWN, UsualRange
from observability.models.features import Feature, encode_row
from observability.models.model import Model
from observability.store.stored import StoredDecision


@dataclass(frozen=True, slots=True)
class Alternatives:
    """The action that was not taken and what stands between it and the decision.

    `action` is the one not taken: what was proposed and stopped, or what the other side of the threshold
    proposes. That side's gates were read from the decision `gates_seen_in`, empty where the decision
    itself names all that is known. The unit of a flip's cost is the IQR of the device's usual range.
    """

    action: str
    gates_seen_in: str
    flips: Flips
    shares: Shares


def alternatives(
    model: Model,
    features: Sequence[Feature],
    stored: StoredDecision,
    other: StoredDecision | None,
    usual: Mapping[str, UsualRange],
    background: np.ndarray,
    seen: np.ndarray,
) -> Alternatives:
    """What else the device could have done: each actionable feature changed within what it can be.

    `other` is the device's latest earlier decision that proposed another action; `usual` its usual
    range of each input, by name. Shares are against `background`; what a feature can be is what was
    `seen` of it, where its list does not say: both rows of the model's features. Raises ModelError
    where the records do not tell.
    """
    decision = stored.decision
    policy = policy_of(
        decision, features, other.decision if other else None, other.decision_id if other else ""
    )
    row = encode_row(features, decision.inputs, decision.categoricals)[0]
    sides = (policy.below, policy.above)
    return Alternatives(
        action=next(side.action for side in sides if side.action != decision.action),
        gates_seen_in="".join(side.seen_in for side in sides),
        flips=smallest_flips(model, policy, row, levers(features, usual, seen)),
        shares=shares(model, policy, row, background),
    )


def levers(
    features: Sequence[Feature], usual: Mapping[str, UsualRange], seen: np.ndarray
) -> list[Lever]:
    """What people can change, and how far; see `alternatives`."""
    return [
        _lever(at, feature, usual.get(feature.name, UNKNOWN).iqr, seen[:, at])
        for at, feature in enumerate(features)
        if feature.actionable
    ]


def _lever(at: int, feature: Feature, iqr: float, seen: np.ndarray) -> Lever:
    """A feature within its stated range, and where an end is open within the values `(n,)` seen of it."""
    known = seen[np.isfinite(seen)]
    low = float(known.min()) if len(known) else -math.inf
    high = float(known.max()) if len(known) else math.inf
    return Lever(
        at,
        iqr,
        low if feature.low is None else feature.low,
        high if feature.high is None else feature.high,
    )
