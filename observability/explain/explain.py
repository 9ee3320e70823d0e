"""Explain one stored decision: gather what is known, say what is missing.

Owns the order of the parts. A store without the decision's model still explains its gates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from observability.explain.alternatives import Alternatives, alternatives
from observability.explain.attributed import attribute_decision
from observability.explain.explanation import FLEET, Attributions, Explanation, GateStep
from observability.explain.inputs_then import InputsThen, inputs_then
from observability.explain.past import nearest_past
from observability.explain.policy import decisive
from observability.explain.recorded import recorded, withheld
from observability.explain.sentence import sentence
from observability.explain.usual import UsualRange, usual_ranges
from observability.explain.versus import Compared, compared, other_decision
from observability.models.registry import find, why_absent
from observability.store.location import Store
from observability.store.read_chains import place
from observability.store.read_earlier import other_proposal
from observability.store.read_past import Past, own_past
from observability.store.read_rollout import rollout_at
from observability.store.stored import StoredDecision, stored_decision
from traces import Decision, GateVerdict
from traces.errors import ModelError
from traces.gates import binding, margin, rejudge


def explain(
    con: duckdb.DuckDBPyConnection, store: Store, decision_id: str, versus: str = FLEET
) -> Explanation | None:
    """Why the device acted as it did; None where no such decision is stored.

    `versus` is what its inputs are compared with: `fleet`, `device` or the id of another decision. What
    cannot be explained (an unknown model, another digest, no reference, other inputs) is a line of
    `missing`, never an error. Raises WrongUse where `versus` is none of these.
    """
    stored = stored_decision(con, decision_id)
    if stored is None:
        return None
    other = other_decision(con, stored, versus)
    own = own_past(con, stored)
    usual = dict(zip(stored.decision.inputs, usual_ranges(own.numbers), strict=True))
    found = _of_model(con, store, stored, _Beside(own, usual, other, versus))
    return Explanation(
        stored=stored,
        sentence=sentence(stored, found.attributions),
        score_margin=score_margin(stored.decision),
        attributions=found.attributions,
        gates=gate_steps(stored.decision.gates),
        missing=found.missing,
        alternatives=found.alternatives,
        usual=usual,
        nearest=nearest_past(con, store, stored, usual),
        drift=found.drift,
        rollout=rollout_at(con, stored),
        chain=place(con, stored.device_id, stored.decision.chain),
    )


@dataclass(frozen=True, slots=True)
class _Beside:
    """What the decision is seen beside."""

    own: Past
    usual: Mapping[str, UsualRange]
    other: StoredDecision | None
    versus: str


@dataclass(frozen=True, slots=True)
class _OfModel:
    """What the decision's registered model tells, and what is missing for more."""

    attributions: Attributions | None = None
    alternatives: Alternatives | None = None
    drift: InputsThen | None = None
    missing: tuple[str, ...] = ()


def gate_steps(verdicts: tuple[GateVerdict, ...]) -> tuple[GateStep, ...]:
    """The gate chain in evaluation order, each with its margin and whether its record replays."""
    bound = binding(verdicts)
    return tuple(
        GateStep(verdict, margin(verdict), verdict is bound, _replays(verdict), decides)
        for verdict, decides in zip(verdicts, decisive(verdicts), strict=True)
    )


def score_margin(decision: Decision) -> float | None:
    """Score minus threshold as the device recorded them; None where it lacks one."""
    proposed = decision.recommendation
    if proposed is None or proposed.score is None or proposed.threshold is None:
        return None
    return proposed.score - proposed.threshold


def _replays(verdict: GateVerdict) -> bool | None:
    again = rejudge(verdict)
    return None if again is None else again == verdict.verdict


def _of_model(
    con: duckdb.DuckDBPyConnection, store: Store, stored: StoredDecision, beside: _Beside
) -> _OfModel:
    decision, other = stored.decision, beside.other
    model = find(con, store, decision.model)
    if model is None:
        return _OfModel(missing=(why_absent(con, store, decision.model),))
    kept_back = withheld(decision, model) or (withheld(other.decision, model) if other else "")
    if kept_back:
        return _OfModel(missing=(kept_back,))
    try:
        ready = compared(model, stored, beside.own, other, beside.versus)
        drift = inputs_then(model, stored, beside.own)
        attributions = attribute_decision(ready.engine, recorded(decision, model))
    except ModelError as error:
        return _OfModel(missing=(f"the model cannot explain this decision: {error}",))
    except ImportError as error:
        absent = f"{error.name} is not installed: nothing here can attribute a score"
        return _OfModel(missing=(absent,))
    if not attributions.adds_up:
        return _OfModel(attributions, drift=drift)
    try:
        other_ways = _alternatives(con, stored, ready, beside)
    except ModelError as error:
        unknown = f"what else the device could have done is not known: {error}"
        return _OfModel(attributions, drift=drift, missing=(unknown,))
    return _OfModel(attributions, other_ways, drift)


def _alternatives(
    con: duckdb.DuckDBPyConnection,
    stored: StoredDecision,
    ready: Compared,
    beside: _Beside,
) -> Alternatives:
    model, features = ready.engine.explainer.model, ready.engine.features
    proposal = other_proposal(con, stored, beside.own)
    return alternatives(
        model, features, stored, proposal, beside.usual, ready.background, ready.seen
    )
