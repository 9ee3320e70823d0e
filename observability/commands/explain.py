"""`whence explain`: why one decision was made, as text or as the full value."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import observability
from observability.explain.alternatives import Alternatives
from observability.explain.explain import explain
from observability.explain.explanation import Attributions, Explanation, GateStep, as_json
from observability.explain.flip import Flip
from observability.explain.sentence import figures
from traces.errors import WrongUse

SHOWN = 10
"""Inputs listed each; the others share a line."""


def run(arguments: argparse.Namespace) -> int:
    """Print the explanation of one decision. Raises WrongUse where no such decision is stored."""
    with observability.connect(arguments.store) as con:
        explanation = explain(con, arguments.store, arguments.id)
    if explanation is None:
        raise WrongUse(
            f"no decision {arguments.id} in {arguments.store}",
            "<32 hex trace id>-<16 hex span id> of a stored decision",
            "`whence sql 'SELECT decision_id FROM decisions LIMIT 5'` lists some",
        )
    if arguments.json:
        sys.stdout.write(json.dumps(as_json(explanation), ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("\n".join(_lines(explanation)) + "\n")
    return 0


def _lines(explanation: Explanation) -> Iterator[str]:
    stored = explanation.stored
    model = stored.decision.model
    yield explanation.sentence
    yield ""
    yield f"decided    {_utc(stored.decided_at)} by {stored.device_id}, {stored.decision.type}"
    yield f"model      {model.name} {model.version}, {model.digest[:19]}"
    yield f"identity   {stored.identity}"
    for outcome in stored.outcomes:
        yield f"outcome    {outcome.label} ({outcome.source}, {_utc(outcome.observed_at)})"
    if not stored.outcomes:
        yield "outcome    not known"
    for review in stored.reviews:
        why = f": {review.reason}" if review.reason else ""
        yield f"review     {review.verdict} by {review.reviewer} ({_utc(review.reviewed_at)}){why}"
    if stored.decision.withheld:
        yield f"withheld   {', '.join(stored.decision.withheld)}, on the device"
    for line in explanation.missing:
        yield f"missing    {line}"
    yield from _gates(explanation.gates)
    if explanation.alternatives is not None:
        yield from _otherwise(explanation.alternatives)
    if explanation.attributions is not None:
        yield from _inputs(explanation.attributions)


def _gates(steps: tuple[GateStep, ...]) -> Iterator[str]:
    yield ""
    yield "gates, in order" if steps else "gates      none recorded"
    for step in steps:
        said = step.verdict
        rule = f"{said.input} {figures(said.observed)} {said.operator} {figures(said.limit)}"
        notes = [rule] if said.operator else []
        notes += [f"margin {figures(step.margin)}"] if step.margin is not None else []
        notes += [said.reason] if said.reason and not said.operator else []
        notes += ["binding"] if step.binding else []
        notes += ["had it passed, the device would have acted"] if step.decisive else []
        notes += ["its record gives another verdict"] if step.replays is False else []
        yield f"  {said.verdict:<7} {said.name}: {', '.join(notes)}"


def _otherwise(other: Alternatives) -> Iterator[str]:
    flips, shares = other.flips, other.shares
    yield ""
    yield f"instead    {other.action}, with the smallest change of"
    found = "none of what people can change" if flips.exact else "none found"
    yield f"  one input   {_change(flips.one) if flips.one else found}"
    if flips.two is not None:
        yield f"  two inputs  {_change(flips.two)}, the best found"
    if other.gates_seen_in:
        yield f"  its gates as recorded by {other.gates_seen_in}"
    yield f"shares of the action {shares.action}, {figures(shares.base)} without any"
    ranked = sorted((*shares.gates, *shares.features), key=lambda part: -abs(part.share))
    for part in [part for part in ranked[:SHOWN] if part.share]:
        yield f"  {part.share:+.2f} +- {part.standard_error:.2f}  {part.name}"


def _change(flip: Flip) -> str:
    said = " and ".join(
        f"{change.feature} {_text(change.before)} -> {_text(change.after)}"
        for change in flip.changes
    )
    return f"{said} gives {flip.action} ({figures(flip.cost)} of the device's own IQR)"


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else figures(value)


def _inputs(attributions: Attributions) -> Iterator[str]:
    spec = attributions.spec
    unit = "log-odds" if spec.link == "logit" else "the output's unit"
    yield ""
    yield f"inputs, in {unit}"
    parts = zip(
        spec.features, attributions.values, attributions.units, attributions.phi, strict=True
    )
    ranked = sorted(parts, key=lambda part: -abs(part[3]))
    rows = [("base", attributions.base)]
    rows += [(_shown(name, value, held), phi) for name, value, held, phi in ranked[:SHOWN]]
    rest = ranked[SHOWN:]
    if rest:
        rows.append(
            (f"{len(rest)} other{'s' * (len(rest) > 1)}", math.fsum(part[3] for part in rest))
        )
    rows.append(("output", attributions.output))
    if attributions.threshold is not None:
        rows.append(("threshold", attributions.threshold))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        yield f"  {name:<{width}}  {value:+.3f}"
    yield f"  {_provenance(attributions)}"
    for problem in attributions.problems:
        yield f"  NOT IN ORDER: {problem}"
    yield "  Explains the model, not the cause. Correlated sensors share or swap credit."


def _shown(name: str, value: float | str, unit: str) -> str:
    return f"{name} {_text(value)}{f' {unit}' if unit else ''}"


def _provenance(attributions: Attributions) -> str:
    spec = attributions.spec
    window = ""
    if spec.background_from and spec.background_to:
        window = f", {spec.background_from:%Y-%m-%d} to {spec.background_to:%Y-%m-%d}"
    return (
        f"Relative to {spec.background_rows:,} rows of {spec.reference_id[:19]}{window}; "
        f"{spec.algorithm}; {spec.library}"
    )


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
