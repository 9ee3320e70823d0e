"""What text, notebook and page say of an explanation in the same words; times UTC."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from observability.explain.explanation import FLEET, Explanation, Spec
from observability.explain.inputs_then import InputsThen
from observability.explain.past import NearestPast
from observability.explain.sentence import figures
from observability.explain.usual import UsualRange
from observability.store.read_chains import Place
from observability.store.read_rollout import Rollout

MODEL_NOT_CAUSE = "Explains the model, not the cause."
SHARED_CREDIT = "Correlated sensors share or swap credit."
NAMED = 3
"""Inputs whose drift a line names at most."""


def relative_to(spec: Spec) -> str:
    """What the parts are relative to, and how they were computed."""
    window = ""
    if spec.background_from and spec.background_to:
        window = f", {spec.background_from:%Y-%m-%d} to {spec.background_to:%Y-%m-%d}"
    rows = f"{spec.background_rows:,} rows of {spec.reference_id[:19]}"
    kind, _, of = spec.versus.partition(" ")
    said = {
        FLEET: rows,
        "device": f"the last {spec.background_rows:,} decisions of {of} before it",
        "decision": f"decision {of}",
    }
    return f"Relative to {said[kind]}{window}; {spec.algorithm}; {spec.library}"


def unit_of(spec: Spec) -> str:
    """The unit of the parts."""
    return "log-odds" if spec.link == "logit" else "the output's unit"


def verdict_line(explanation: Explanation) -> str:
    """Score, threshold, signed margin, gates and action, as recorded."""
    decision = explanation.stored.decision
    proposed, margin = decision.recommendation, explanation.score_margin
    said = [f"proposed {proposed.action}"] if proposed else ["no recommendation recorded"]
    if proposed and proposed.score is not None:
        said += [f"score {figures(proposed.score)}"]
    if proposed and proposed.threshold is not None:
        said += [f"threshold {figures(proposed.threshold)}"]
    said += [f"margin {'+' * (margin > 0)}{figures(margin)}"] if margin is not None else []
    passed = sum(step.verdict.verdict == "pass" for step in explanation.gates)
    said += [f"{passed} of {len(explanation.gates)} gates passed"] if explanation.gates else []
    return ", ".join([*said, f"did {decision.action} ({decision.disposition})"])


def place_in_usual(usual: UsualRange | None, value: float | str) -> str:
    """Where a value lies beside what is usual for the device; empty where nothing is known."""
    if usual is None or isinstance(value, str) or not math.isfinite(value) or not usual.count:
        return ""
    span = f"{figures(usual.low)} to {figures(usual.high)}"
    if usual.holds(value):
        return f"usual: {span}"
    return f"{'below' if value < usual.low else 'above'} the usual {span}"


def drift_line(drift: InputsThen | None) -> str:
    """How far the inputs had moved when it decided."""
    if drift is None:
        return "not known: the model has no reference here"
    known = sorted(
        ((value, name) for name, value in drift.psi.items() if math.isfinite(value)), reverse=True
    )
    whose = "the device's own part" if drift.own else "all"
    beside = f"{drift.decisions:,} decisions of the 7 days before"
    beside += f" beside {whose} of the reference ({drift.baseline_rows:,} rows)"
    if not known:
        return f"not known: {beside} are too few"
    named = ", ".join(f"{name} {value:.2f}" for value, name in known[:NAMED])
    return f"largest PSI {named}; {beside}"


def rollout_line(rollout: Rollout | None) -> str:
    """Which versions ran then."""
    if rollout is None or not rollout.devices:
        return "not known"
    others = ", ".join(
        f"{each.version} on {each.devices:,}"
        for each in rollout.versions
        if each.version != rollout.version
    )
    return (
        f"{rollout.version} on {rollout.on_version:,} of {rollout.devices:,} devices that decided in the"
        f" 24 h before{f'; {others}' if others else ''}"
    )


def chain_line(place: Place | None) -> str:
    """Where it stands in its device's chain."""
    return "not chained" if place is None else f"number {place.chain.seq:,}, {place.standing}"


def nearest_line(found: NearestPast | None) -> str:
    """Among which decisions the nearest were looked for."""
    if found is None or (not found.among and not found.is_older):
        return "none: no earlier decision of this type and version was known then"
    begin = "" if found.newest_from is None else f", which begin at {utc(found.newest_from)}"
    if found.is_older:
        return f"not known: it is older than the newest {found.newest:,} of its type and version{begin}"
    return (
        f"among {found.among:,} earlier ones of the newest {found.newest:,} of this type and version"
        f"{begin}; distance in IQRs of the device, outcomes as known now"
    )


def utc(at: datetime) -> str:
    """An instant as ISO 8601 with Z."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
