"""Explain one stored decision: gather what is known, say what is missing.

Owns the order of the parts. A store without the decision's model still explains its gates.
"""

from __future__ import annotations

import functools
from pathlib import Path

import duckdb
import numpy as np

from observability.explain.alternatives import Alternatives, alternatives
from observability.explain.attributed import Engine, Recorded, attribute_decision, engine
from observability.explain.explanation import Attributions, Explanation, GateStep
from observability.explain.policy import decisive
from observability.explain.sentence import sentence
from observability.models.artifact import read_file
from observability.models.features import Feature
from observability.models.reference import background
from observability.models.registry import RegisteredModel, find, why_absent
from observability.store.location import Store
from observability.store.read_earlier import other_proposal, own_inputs
from observability.store.stored import StoredDecision, stored_decision
from traces import Decision, GateVerdict
from traces.conventions import PSEUDONYM, WITHHELD
from traces.errors import ModelError
from traces.gates import binding, margin, rejudge


def explain(con: duckdb.DuckDBPyConnection, store: Store, decision_id: str) -> Explanation | None:
    """Why the device acted as it did; None where no such decision is stored.

    What cannot be explained (an unknown model, another digest, no reference, other inputs) is a
    line of `missing`, never an error.
    """
    stored = stored_decision(con, decision_id)
    if stored is None:
        return None
    attributions, other_ways, missing = _parts(con, store, stored)
    return Explanation(
        stored=stored,
        sentence=sentence(stored, attributions),
        score_margin=score_margin(stored.decision),
        attributions=attributions,
        gates=gate_steps(stored.decision.gates),
        missing=missing,
        alternatives=other_ways,
    )


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


def _parts(
    con: duckdb.DuckDBPyConnection, store: Store, stored: StoredDecision
) -> tuple[Attributions | None, Alternatives | None, tuple[str, ...]]:
    decision = stored.decision
    model = find(con, store, decision.model)
    if model is None:
        return None, None, (why_absent(con, store, decision.model),)
    withheld = _withheld(decision, model)
    if withheld:
        return None, None, (withheld,)
    if model.reference is None or model.reference_path is None:
        name = f"{model.version.name} {model.version.version}"
        absent = f"no reference is registered for {name}: there is nothing to compare with"
        return None, None, (absent,)
    try:
        prepared = engine(
            model.artifact_path,
            model.version.digest,
            model.features,
            model.reference_path,
            model.reference,
        )
        attributions = attribute_decision(prepared, _recorded(decision, model))
    except ModelError as error:
        return None, None, (f"the model cannot explain this decision: {error}",)
    except ImportError as error:
        return None, None, (f"{error.name} is not installed: nothing here can attribute a score",)
    if not attributions.adds_up:
        return attributions, None, ()
    try:
        rows = _background(model.reference_path, model.features)
        return attributions, _alternatives(con, stored, prepared, rows), ()
    except ModelError as error:
        unknown = f"what else the device could have done is not known: {error}"
        return attributions, None, (unknown,)


def _alternatives(
    con: duckdb.DuckDBPyConnection, stored: StoredDecision, prepared: Engine, rows: np.ndarray
) -> Alternatives:
    other, own = other_proposal(con, stored), own_inputs(con, stored)
    model = prepared.explainer.model
    return alternatives(model, prepared.features, stored, other, own, rows)


@functools.lru_cache(maxsize=8)
def _background(reference: Path, features: tuple[Feature, ...]) -> np.ndarray:
    """The background of a reference, whose path names its content."""
    return background(read_file(reference, "the registered reference"), features, str(reference))


def _withheld(decision: Decision, model: RegisteredModel) -> str:
    """Which features stayed on the device, or only a pseudonym left it: NaN would be another input."""
    levels = decision.categoricals
    names = [
        feature.name
        for feature in model.features
        if feature.name in decision.withheld or levels.get(feature.name, "").startswith(PSEUDONYM)
    ]
    if not names:
        return ""
    return f"{', '.join(names)} {WITHHELD}: what the model saw there cannot be replayed here"


def _recorded(decision: Decision, model: RegisteredModel) -> Recorded:
    proposed = decision.recommendation
    threshold = proposed.threshold if proposed else None
    return Recorded(
        inputs=decision.inputs,
        categoricals=decision.categoricals,
        score=proposed.score if proposed else None,
        threshold=model.threshold if threshold is None else threshold,
    )
