"""An explanation as plain text, for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator

from observability.explain.alternatives import Alternatives
from observability.explain.explanation import Attributions, Explanation, GateStep
from observability.explain.flip import Flip
from observability.explain.past import NearestPast
from observability.explain.sentence import figures
from observability.explain.wording import (
    MODEL_NOT_CAUSE,
    SHARED_CREDIT,
    chain_line,
    drift_line,
    nearest_line,
    place_in_usual,
    relative_to,
    rollout_line,
    unit_of,
    utc,
    verdict_line,
)

SHOWN = 10
"""Inputs listed each; the others share a line."""


def lines(explanation: Explanation) -> Iterator[str]:
    """Line by line, without line ends."""
    stored = explanation.stored
    model = stored.decision.model
    yield explanation.sentence
    yield ""
    yield f"decided    {utc(stored.decided_at)} by {stored.device_id}, {stored.decision.type}"
    yield f"model      {model.name} {model.version}, {model.digest[:19]}"
    yield f"release    {rollout_line(explanation.rollout)}"
    yield f"verdict    {verdict_line(explanation)}"
    yield f"identity   {stored.identity}; chain: {chain_line(explanation.chain)}"
    yield f"drift      {drift_line(explanation.drift)}"
    for outcome in stored.outcomes:
        yield f"outcome    {outcome.label} ({outcome.source}, {utc(outcome.observed_at)})"
    if not stored.outcomes:
        yield "outcome    not known"
    for review in stored.reviews:
        why = f": {review.reason}" if review.reason else ""
        yield f"review     {review.verdict} by {review.reviewer} ({utc(review.reviewed_at)}){why}"
    if stored.decision.withheld:
        yield f"withheld   {', '.join(stored.decision.withheld)}, on the device"
    for line in explanation.missing:
        yield f"missing    {line}"
    yield from _gates(explanation.gates)
    if explanation.alternatives is not None:
        yield from _otherwise(explanation.alternatives)
    if explanation.attributions is not None:
        yield from _inputs(explanation, explanation.attributions)
    yield from _nearest(explanation.nearest)


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
    yield f"  one input   {change_text(flips.one) if flips.one else found}"
    if flips.two is not None:
        yield f"  two inputs  {change_text(flips.two)}, the best found"
    if other.gates_seen_in:
        yield f"  its gates as recorded by {other.gates_seen_in}"
    yield f"shares of the action {shares.action}, {figures(shares.base)} without any"
    ranked = sorted((*shares.gates, *shares.features), key=lambda part: -abs(part.share))
    for part in [part for part in ranked[:SHOWN] if part.share]:
        yield f"  {part.share:+.2f} +- {part.standard_error:.2f}  {part.name}"


def change_text(flip: Flip) -> str:
    """A smallest change, the action that it leads to and what it costs."""
    said = " and ".join(
        f"{change.feature} {_text(change.before)} -> {_text(change.after)}"
        for change in flip.changes
    )
    return f"{said} gives {flip.action} ({figures(flip.cost)} of the device's own IQR)"


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else figures(value)


def _inputs(explanation: Explanation, attributions: Attributions) -> Iterator[str]:
    spec, usual = attributions.spec, explanation.usual
    yield ""
    yield f"inputs, in {unit_of(spec)}"
    parts = zip(
        spec.features, attributions.values, attributions.units, attributions.phi, strict=True
    )
    ranked = sorted(parts, key=lambda part: -abs(part[3]))
    rows = [("base", attributions.base, "")]
    rows += [
        (_shown(name, value, unit), phi, place_in_usual(usual.get(name), value))
        for name, value, unit, phi in ranked[:SHOWN]
    ]
    rest = ranked[SHOWN:]
    if rest:
        others = f"{len(rest)} other{'s' * (len(rest) > 1)}"
        rows.append((others, math.fsum(part[3] for part in rest), ""))
    rows.append(("output", attributions.output, ""))
    if attributions.threshold is not None:
        rows.append(("threshold", attributions.threshold, ""))
    width = max(len(name) for name, *_ in rows)
    for name, value, note in rows:
        yield f"  {name:<{width}}  {value:+.3f}  {note}".rstrip()
    yield f"  {relative_to(spec)}"
    for problem in attributions.problems:
        yield f"  NOT IN ORDER: {problem}"
    yield f"  {MODEL_NOT_CAUSE} {SHARED_CREDIT}"


def _nearest(found: NearestPast | None) -> Iterator[str]:
    yield ""
    yield f"nearest    {nearest_line(found)}"
    for each in found.decisions if found else ():
        yield (
            f"  {figures(each.distance):>6}  {each.action} ({each.disposition}),"
            f" {each.label or 'outcome not known'}; {each.device_id} {utc(each.decided_at)}"
            f" {each.decision_id}"
        )


def _shown(name: str, value: float | str, unit: str) -> str:
    return f"{name} {_text(value)}{f' {unit}' if unit else ''}"
