"""The Explanation: one value from which the page, the command and the report are made.

Owns its form. Who computes it is explain.py; who draws it is figures and pages.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from observability.explain.alternatives import Alternatives
from observability.explain.inputs_then import InputsThen
from observability.explain.past import NearestPast
from observability.explain.usual import UsualRange
from observability.store.read_chains import Place
from observability.store.read_rollout import Rollout
from observability.store.stored import StoredDecision
from traces import GateVerdict

FLEET = "fleet"
"""What an attribution is relative to unless asked otherwise: the background of the model's reference."""


@dataclass(frozen=True, slots=True)
class Spec:
    """Everything that makes an attribution reproducible.

    `features` names the parts in the order of phi; where features share parts, `players` has the
    members of each part, else it is empty. `versus` is what it is relative to: `fleet`, then
    `background_rows` of the reference were drawn with `background_seed`; `device ID`, its own decisions
    before; or `decision ID`, then `reference_id` is the digest of those rows. They were decided from
    `background_from` to `background_to`, UTC.
    """

    spec_id: str
    model_digest: str
    artifact: str
    output: str
    link: str
    algorithm: str
    library: str
    features: tuple[str, ...]
    reference_id: str
    background_rows: int
    background_seed: int
    background_from: datetime | None
    background_to: datetime | None
    players: tuple[tuple[str, ...], ...] = ()
    versus: str = FLEET


@dataclass(frozen=True, slots=True)
class Attributions:
    """Shapley values of one decision, in the link unit of `spec.link`.

    `base + sum(phi) == output` up to `residual`; `threshold` is on the same scale, None where it has
    no place there. `phi`, `values` (as recorded: a level as its text, of a shared part how many inputs
    it has) and `units` follow `spec.features`. `replay_error` is the absolute difference between the
    model's score here and the device's, in the unit of the score; None where the device recorded none.
    `problems` is empty where all is in order. `standard_error` follows `phi`, 0 where the algorithm is
    exact.
    """

    spec: Spec
    phi: tuple[float, ...]
    values: tuple[float | str, ...]
    units: tuple[str, ...]
    base: float
    output: float
    threshold: float | None
    residual: float
    replayed_score: float
    replay_error: float | None
    problems: tuple[str, ...]
    standard_error: tuple[float, ...] = ()

    @property
    def adds_up(self) -> bool:
        """Whether the parts may be shown as the explanation of this decision."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class GateStep:
    """One gate of the chain; `margin` in the gate's own unit, positive on the passing side.

    `decisive`: the gate stopped the device, and had it alone passed, the device would have acted.
    """

    verdict: GateVerdict
    margin: float | None
    binding: bool
    replays: bool | None
    decisive: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one device acted as it did.

    `score_margin` is score minus threshold, in the unit of the score. `missing` says, one line each,
    what could not be explained and why. `alternatives` is what else the device could have done, None
    where its records or the model do not tell. `usual` is the device's own usual range by numeric input,
    over its last 1,000 decisions with this one. `drift` is None where the model has no reference, `chain`
    where the decision has no place in one.
    """

    stored: StoredDecision
    sentence: str
    score_margin: float | None
    attributions: Attributions | None
    gates: tuple[GateStep, ...]
    missing: tuple[str, ...]
    alternatives: Alternatives | None = None
    usual: Mapping[str, UsualRange] = field(default_factory=dict)
    nearest: NearestPast | None = None
    drift: InputsThen | None = None
    rollout: Rollout | None = None
    chain: Place | None = None

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from observability.explain.html import explanation_html  # here: it draws this value

        return explanation_html(self)


def as_json(value: Any) -> dict[str, Any]:
    """An explanation, or a verification of one, for JSON: times ISO 8601 with Z, not finite as null."""
    return _plain(value)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.hex() if isinstance(value, bytes) else value
