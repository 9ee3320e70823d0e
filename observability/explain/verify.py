"""Whether an explanation holds: computed again, from the spec by which it was stored.

Owns the three verdicts. Where nothing is stored, what the device recorded has to suffice.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Literal

import duckdb

from observability.explain.attributed import RESIDUAL_TOLERANCE, attribute_decision
from observability.explain.explanation import FLEET, Attributions, Spec
from observability.explain.recorded import recorded
from observability.explain.versus import compared, other_decision
from observability.models.registry import find, why_absent, with_reference
from observability.store.location import Store
from observability.store.read_computed import Computed, computed
from observability.store.read_past import own_past
from observability.store.stored import StoredDecision, stored_decision
from traces.errors import ModelError, WrongUse

Verdict = Literal["match", "drifted", "cannot reproduce"]
NOTHING_STORED = "nothing stored to compare"


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of computing an explanation again, and why it is not a match, or what it rests on.

    `largest_difference` from what was stored, in the link unit of `spec_id`; None where there is nothing
    to compare, then `computed_at` (UTC) and `spec_id` are those of no stored row. `replay_error` is in
    the unit of the score.
    """

    verdict: Verdict
    why: str
    largest_difference: float | None = None
    spec_id: str | None = None
    computed_at: datetime | None = None
    residual: float | None = None
    replay_error: float | None = None


def verify(con: duckdb.DuckDBPyConnection, store: Store, decision_id: str) -> Verification | None:
    """Compute a decision's attributions again; None where no such decision is stored."""
    stored = stored_decision(con, decision_id)
    if stored is None:
        return None
    known = computed(con, stored.device_id, decision_id)
    try:
        again = _again(con, store, stored, known)
    except (ModelError, WrongUse) as error:
        return _verdict("cannot reproduce", str(error), known)
    except ImportError as error:
        return _verdict("cannot reproduce", f"{error.name} is not installed", known)
    if again.problems:
        return _verdict("cannot reproduce", "; ".join(again.problems), known, again)
    if known is None or not known.phi:
        why = NOTHING_STORED if known is None else f"{NOTHING_STORED}: {known.status}"
        if again.replay_error is None:
            why = f"{why}, and the device recorded no score to replay"
            return _verdict("cannot reproduce", why, known, again)
        return _verdict("match", f"{why}; the score replays and the parts add up", known, again)
    return _beside(known, again)


def _again(
    con: duckdb.DuckDBPyConnection, store: Store, stored: StoredDecision, known: Computed | None
) -> Attributions:
    """The attributions as the stored spec has them; by today's reference where none is stored."""
    version = stored.decision.model
    model = find(con, store, version)
    if model is None:
        raise ModelError(why_absent(con, store, version), "the model that decided")
    versus = FLEET
    if known is not None:
        kind, _, of = (known.spec["versus"] or FLEET).partition(" ")
        versus = of if kind == "decision" else kind
    if known is not None and versus == FLEET:
        model = with_reference(con, store, model, known.spec["reference_id"])
    other, own = other_decision(con, stored, versus), own_past(con, stored)
    if other is not None:
        recorded(other.decision, model)
    ready = compared(model, stored, own, other, versus)
    return attribute_decision(ready.engine, recorded(stored.decision, model))


def _beside(known: Computed, again: Attributions) -> Verification:
    pairs = [*zip(known.phi, again.phi, strict=False)]
    pairs += [(known.base or 0.0, again.base), (known.output or 0.0, again.output)]
    largest = max(abs(then - now) for then, now in pairs)
    changed = _changed(known, again.spec)
    same = len(known.phi) == len(again.phi) and list(known.spec["features"]) == [
        *again.spec.features
    ]
    if same and largest <= RESIDUAL_TOLERANCE * max(1.0, abs(again.output)):
        why = f"computed again by {changed}" if changed else "computed again by the same spec"
        return _verdict("match", why, known, again, largest)
    why = f"computed again by {changed}" if changed else "the same spec gives other numbers here"
    return _verdict("drifted", why, known, again, largest)


def _changed(known: Computed, spec: Spec) -> str:
    """What of a spec is not as it was stored, as `name now (was then)`; empty where it is the same."""
    if known.spec["spec_id"] == spec.spec_id:
        return ""
    told = [
        f"{field.name} {getattr(spec, field.name)} (was {known.spec[field.name]})"
        for field in fields(Spec)
        if field.name
        in ("library", "algorithm", "artifact", "output", "background_rows", "reference_id")
        and known.spec[field.name] != getattr(spec, field.name)
    ]
    return ", ".join(told) or "another spec"


def _verdict(
    verdict: Verdict,
    why: str,
    known: Computed | None,
    again: Attributions | None = None,
    largest: float | None = None,
) -> Verification:
    return Verification(
        verdict=verdict,
        why=why,
        largest_difference=largest,
        spec_id=known.spec["spec_id"] if known else None,
        computed_at=known.computed_at if known else None,
        residual=again.residual if again else None,
        replay_error=again.replay_error if again else None,
    )
