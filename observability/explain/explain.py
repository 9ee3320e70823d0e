"""Explain one stored decision: gather what is known, say what is missing.

Owns the order of the parts. A store without the decision's model still explains its gates.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from observability.explain.attributed import Recorded, attribute_decision, engine
from observability.explain.explanation import Attributions, Explanation, GateStep
from observability.explain.policy import decisive
from observability.explain.sentence import sentence
from observability.models.registry import RegisteredModel, find, why_absent
from observability.store.stored import stored_decision
from traces import Decision, GateVerdict
from traces.conventions import PSEUDONYM, WITHHELD
from traces.errors import ModelError
from traces.gates import binding, margin, rejudge


def explain(con: duckdb.DuckDBPyConnection, store: Path, decision_id: str) -> Explanation | None:
    """Why the device acted as it did; None where no such decision is stored.

    What cannot be explained (an unknown model, another digest, no reference, other inputs) is a
    line of `missing`, never an error.
    """
    stored = stored_decision(con, decision_id)
    if stored is None:
        return None
    attributions, missing = _attributions(con, store, stored.decision)
    return Explanation(
        stored=stored,
        sentence=sentence(stored, attributions),
        score_margin=score_margin(stored.decision),
        attributions=attributions,
        gates=gate_steps(stored.decision.gates),
        missing=missing,
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


def _attributions(
    con: duckdb.DuckDBPyConnection, store: Path, decision: Decision
) -> tuple[Attributions | None, tuple[str, ...]]:
    model = find(con, store, decision.model)
    if model is None:
        return None, (why_absent(con, store, decision.model),)
    withheld = _withheld(decision, model)
    if withheld:
        return None, (withheld,)
    if model.reference is None or model.reference_path is None:
        name = f"{model.version.name} {model.version.version}"
        return None, (f"no reference is registered for {name}: there is nothing to compare with",)
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
        return None, (f"the model cannot explain this decision: {error}",)
    except ImportError as error:
        return None, (f"{error.name} is not installed: nothing here can attribute a score",)
    return attributions, ()


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
