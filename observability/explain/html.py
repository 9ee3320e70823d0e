"""An explanation as a small piece of HTML for a notebook: no script, nothing fetched, all text escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence

from observability.explain.alternatives import Alternatives
from observability.explain.explanation import Attributions, Explanation, GateStep
from observability.explain.past import NearestPast
from observability.explain.sentence import figures
from observability.explain.text import change_text
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

TOWARDS, AWAY = "#0072B2", "#C44900"
"""The colours of parts above and below 0; their sign is also written."""
_CELL = "padding:2px 8px;text-align:left;vertical-align:top;border-bottom:1px solid #8884"


def explanation_html(explanation: Explanation) -> str:
    """The whole explanation as one `<div>`."""
    stored = explanation.stored
    model = stored.decision.model
    outcomes = "; ".join(f"{each.label} ({each.source})" for each in stored.outcomes)
    facts = {
        "decided": f"{utc(stored.decided_at)} by {stored.device_id}, {stored.decision.type}",
        "model": f"{model.name} {model.version}, {model.digest[:19]}",
        "verdict": verdict_line(explanation),
        "outcome": outcomes or "not known",
        "release": rollout_line(explanation.rollout),
        "chain": chain_line(explanation.chain),
        "drift": drift_line(explanation.drift),
    }
    parts = [
        f"<p><b>{_text(explanation.sentence)}</b></p>",
        _table((), ((_text(name), _text(value)) for name, value in facts.items())),
        *(f"<p>Missing: {_text(line)}</p>" for line in explanation.missing),
        _gates(explanation.gates),
    ]
    if explanation.attributions is not None:
        parts.append(_inputs(explanation, explanation.attributions))
    if explanation.alternatives is not None:
        parts.append(_otherwise(explanation.alternatives))
    parts.append(_nearest(explanation.nearest))
    return f'<div style="font-size:13px;max-width:60em">{"".join(parts)}</div>'


def _gates(steps: Sequence[GateStep]) -> str:
    if not steps:
        return "<p>No gates recorded.</p>"
    rows = (
        (
            _text(step.verdict.name),
            _text(step.verdict.verdict),
            _text(_rule(step)),
            "" if step.margin is None else _text(figures(step.margin)),
            _text(_notes(step)),
        )
        for step in steps
    )
    return _title("Gates, in order") + _table(("gate", "verdict", "rule", "margin", ""), rows)


def _rule(step: GateStep) -> str:
    said = step.verdict
    if not said.operator:
        return said.reason
    return f"{said.input} {figures(said.observed)} {said.operator} {figures(said.limit)}"


def _notes(step: GateStep) -> str:
    notes = ["binding"] if step.binding else []
    notes += ["had it passed, the device would have acted"] if step.decisive else []
    notes += ["its record gives another verdict"] if step.replays is False else []
    return ", ".join(notes)


def _inputs(explanation: Explanation, found: Attributions) -> str:
    largest = max((abs(phi) for phi in found.phi), default=0.0) or 1.0
    ranked = sorted(
        zip(found.spec.features, found.values, found.units, found.phi, strict=True),
        key=lambda part: -abs(part[3]),
    )
    rows = [("base", "", "", f"{found.base:+.3f}", "")]
    rows += [
        (
            _text(name),
            _text(f"{value if isinstance(value, str) else figures(value)} {unit}".strip()),
            _bar(phi / largest),
            f"{phi:+.3f}",
            _text(place_in_usual(explanation.usual.get(name), value)),
        )
        for name, value, unit, phi in ranked
    ]
    rows.append(("output", "", "", f"{found.output:+.3f}", ""))
    if found.threshold is not None:
        rows.append(("threshold", "", "", f"{found.threshold:+.3f}", ""))
    problems = "".join(f"<p><b>Not in order: {_text(line)}</b></p>" for line in found.problems)
    head = ("input", "value", "", "part", "this device")
    title = _title(f"Inputs, in {unit_of(found.spec)}")
    words = f"<p>{_text(relative_to(found.spec))}.<br>{MODEL_NOT_CAUSE} {SHARED_CREDIT}</p>"
    return title + problems + _table(head, rows) + words


def _bar(share: float) -> str:
    """A bar of a part's size, at most 8 em, to the right above 0 and to the left below."""
    width, colour = f"{8 * abs(share):.2f}em", TOWARDS if share > 0 else AWAY
    side = "margin-left:8em" if share > 0 else f"margin-left:calc(8em - {width})"
    style = f"width:{width};height:.8em;background:{colour};{side}"
    return f'<div style="width:16em"><div style="{style}"></div></div>'


def _otherwise(other: Alternatives) -> str:
    flips, shares = other.flips, other.shares
    none = "none of what people can change" if flips.exact else "none found"
    said = [f"one input: {change_text(flips.one) if flips.one else none}"]
    said += [f"two inputs: {change_text(flips.two)}, the best found"] if flips.two else []
    said += [f"its gates as recorded by {other.gates_seen_in}"] if other.gates_seen_in else []
    ranked = sorted((*shares.gates, *shares.features), key=lambda part: -abs(part.share))
    rows = (
        (_text(part.name), _bar(part.share), f"{part.share:+.2f} ± {part.standard_error:.2f}")
        for part in ranked
        if part.share
    )
    return (
        _title(f"Smallest change to {other.action}")
        + "".join(f"<p>{_text(line)}</p>" for line in said)
        + _title(f"Shares of the action {shares.action}, {figures(shares.base)} without any")
        + _table(("gate or input", "", "share"), rows)
    )


def _nearest(found: NearestPast | None) -> str:
    rows = (
        (
            figures(each.distance),
            _text(f"{each.action} ({each.disposition})"),
            _text(each.label or "not known"),
            _text(f"{each.device_id} {utc(each.decided_at)}"),
            _text(each.decision_id),
        )
        for each in (found.decisions if found else ())
    )
    head = ("distance", "action", "outcome", "device and time", "decision")
    table = _table(head, rows) if found and found.decisions else ""
    return f"{_title('Nearest past decisions')}<p>{_text(nearest_line(found))}</p>{table}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are HTML already."""

    def cells(row: Sequence[str], tag: str) -> Iterator[str]:
        yield "<tr>"
        yield from (f'<{tag} style="{_CELL}">{cell}</{tag}>' for cell in row)
        yield "</tr>"

    top = "".join(cells(head, "th")) if head else ""
    body = "".join("".join(cells(row, "td")) for row in rows)
    return f'<table style="border-collapse:collapse">{top}{body}</table>'


def _title(text: str) -> str:
    return f'<p style="margin:1em 0 .3em"><b>{_text(text)}</b></p>'


def _text(text: str) -> str:
    return html.escape(text)
