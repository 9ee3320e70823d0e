"""The decision, its outcome and a person's review of it as immutable values.

Owns the words of the domain. Nothing here knows OpenTelemetry, a wire format or a database.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

Scalar = str | bool | int | float
Verdict = Literal["pass", "block", "modify", "defer"]
Disposition = Literal["executed", "blocked", "modified", "deferred"]
GateKind = Literal["rule", "human"]

VERDICTS: tuple[str, ...] = get_args(Verdict)
DISPOSITIONS: tuple[str, ...] = get_args(Disposition)
GATE_KINDS: tuple[str, ...] = get_args(GateKind)


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """The model that recommended; `digest` is `sha256:<64 hex>` of its artifact."""

    name: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What the model proposed. `score` and `threshold` share the model's own output unit.

    `value` is the number that the action carries, such as a set point, in the action's own unit.
    """

    action: str
    score: float | None = None
    threshold: float | None = None
    value: float | None = None


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """What one gate said, with all that is needed to judge it again later.

    `limit` and `observed` are in the unit of `input`; NaN (and empty text) where the gate has none.
    A rule that looks at more than a value says so in `input`: `tripped(x)` of a hysteresis that had
    tripped before, `rate(x)` per second, `breach(x <= 1)` in seconds, `x in ["a"]` as 1 or 0,
    `value(action)` in the unit of the action.
    """

    name: str
    kind: GateKind
    verdict: Verdict
    reason: str = ""
    input: str = ""
    operator: str = ""
    limit: float = math.nan
    observed: float = math.nan


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The device's clock at the decision; `synced` says whether its wall clock can be trusted."""

    boot_id: str
    monotonic_ns: int
    synced: bool


@dataclass(frozen=True, slots=True)
class ChainPosition:
    """Where the decision's span stands in its device's hash chain.

    `seq` counts from 0 without gaps; `prev` is the chain's head before it, 64 lower-case hex digits.
    """

    chain_id: str
    seq: int
    prev: str


@dataclass(frozen=True, slots=True)
class Decision:
    """One choice of one device at one instant.

    `inputs` is the exact vector that the model consumed, in the model's order; missing = NaN.
    `context` keys are plain names (`mode`) or full OpenTelemetry names (`geo.location.lat`).
    `value` is the number that the action was done with. `latency_us` is how long model and gates
    took, `budget_us` how long they may. `withheld` names what the device kept to itself: inputs by
    their name (NaN or empty here), context by its attribute (absent here).
    `extra` holds attributes of the span that no field names, so that nothing sent is lost.
    """

    type: str
    model: ModelVersion
    action: str
    disposition: Disposition
    recommendation: Recommendation | None = None
    inputs: Mapping[str, float] = field(default_factory=dict)
    categoricals: Mapping[str, str] = field(default_factory=dict)
    gates: tuple[GateVerdict, ...] = ()
    context: Mapping[str, Scalar] = field(default_factory=dict)
    pass_probability: float | None = None
    exploration: bool | None = None
    value: float | None = None
    latency_us: int | None = None
    budget_us: int | None = None
    withheld: tuple[str, ...] = ()
    chain: ChainPosition | None = None
    clock: ClockReading | None = None
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What turned out to be true of one decision.

    `trace_id` (32 hex) and `span_id` (16 hex) name the decision. `observed_unix_nano` is when the
    truth was seen, UTC nanoseconds; `source` is a sensor, a system or a person.
    """

    trace_id: str
    span_id: str
    label: str
    source: str
    observed_unix_nano: int
    value: float | None = None
    extra: Mapping[str, object] = field(default_factory=dict)

    @property
    def decision_id(self) -> str:
        """The decision that this outcome is about."""
        return f"{self.trace_id}-{self.span_id}"


@dataclass(frozen=True, slots=True)
class Review:
    """What a person said to a decision that a gate had deferred.

    `trace_id` (32 hex) and `span_id` (16 hex) name the decision, `gate` the gate that asked. `verdict`
    is pass (approved), block (refused), modify (approved with a change) or defer (passed on). `by` is
    the person; `action` is what the device then did, empty where nothing is known of it.
    """

    trace_id: str
    span_id: str
    gate: str
    verdict: Verdict
    by: str
    reason: str = ""
    action: str = ""
    extra: Mapping[str, object] = field(default_factory=dict)

    @property
    def decision_id(self) -> str:
        """The decision that this review is about."""
        return f"{self.trace_id}-{self.span_id}"
