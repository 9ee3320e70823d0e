"""How strong the evidence is that an input has changed, day by day, beside what was changed on devices."""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import plotly.graph_objects as go
import polars as pl

from observability.figures.course import ROOM_FOR_LABELS, add_changes
from observability.figures.heatmap import MOVED
from observability.monitor.evidence import SATURATED
from observability.monitor.stream_evidence import InputEvidence, StreamEvidence

FLEET = "the fleet"
MOST = 40
"""Lines beside the chosen one: those of the strongest evidence."""
NAMED = 3
"""Devices beside the chosen stream that are named at their line: the strongest that alarmed."""
_FAINT = "rgba(127,127,127,0.45)"
_NAMED_LINE = "#7F7F7F"
_TICKS = (1, 10, 100, 1000)
_APART = 0.5
"""In powers of ten, from which on two names do not stand in each other's way."""


def evidence_course(
    found: InputEvidence, device: str | None, width: timedelta, changes: pl.DataFrame
) -> go.Figure:
    """The stream of `device` (None: the fleet) over those of others, on a logarithmic axis.

    `changes` are times (at, UTC) and what was changed then (said, a list of texts).
    """
    x = [start.replace(tzinfo=None) + width / 2 for start in found.starts]
    chosen, others = found.of(device), found.others(device)[:MOST]
    figure = go.Figure()
    _add_faint(figure, others, x)
    alarmed = [one for one in others if one.alarm.any()]
    for one in alarmed:
        _add_line(figure, one, x, _NAMED_LINE, 1.4)
    _add_line(figure, chosen, x, MOVED, 2.6)
    _add_labels(figure, chosen, alarmed)
    _add_resets(figure, chosen, x)
    figure.add_hline(y=found.needed, line={"color": "#7F7F7F", "width": 1.4, "dash": "dash"})
    figure.add_annotation(
        x=0, xref="paper", xanchor="left", y=np.log10(found.needed), yanchor="bottom", showarrow=False,
        text=f"alarm at {found.needed:,.0f}", font={"size": 11},
    )  # fmt: skip
    lines = add_changes(figure, changes)
    figure.update_layout(
        height=270 + ROOM_FOR_LABELS * lines,
        margin={"l": 0, "r": 8, "t": 10 + ROOM_FOR_LABELS * lines, "b": 0},
        dragmode=False,
        showlegend=False,
    )
    figure.update_xaxes(
        type="date", range=[x[0] - width / 2, x[-1] + width / 2], automargin=True, showgrid=False,
        fixedrange=True,
    )  # fmt: skip
    figure.update_yaxes(
        type="log", range=[-0.12, np.log10(SATURATED * found.needed) + 0.4], tickvals=_TICKS,
        ticktext=[f"{tick:,}" for tick in _TICKS], title={"text": "evidence"}, automargin=True,
        fixedrange=True,
    )  # fmt: skip
    return figure


def _name(one: StreamEvidence) -> str:
    """Escaped: names come from devices, and Plotly reads markup in texts."""
    return html.escape(FLEET if one.device is None else one.device)


def _add_faint(figure: go.Figure, streams: Sequence[StreamEvidence], x: Sequence[datetime]) -> None:
    """All of them as one trace, broken between streams."""
    figure.add_scatter(
        name="the others",
        mode="lines",
        x=[at for _ in streams for at in (*x, None)],
        y=[value for one in streams for value in (*one.strength.tolist(), None)],
        line={"color": _FAINT, "width": 0.8},
        hoverinfo="skip",
    )


def _add_line(
    figure: go.Figure, one: StreamEvidence, x: Sequence[datetime], colour: str, width: float
) -> None:
    figure.add_scatter(
        name=_name(one),
        mode="lines",
        x=list(x),
        y=one.strength,
        line={"color": colour, "width": width},
        hovertemplate=f"{_name(one)}<br>%{{x|%Y-%m-%d}}<br>evidence %{{y:,.3g}}<extra></extra>",
    )


def _add_labels(
    figure: go.Figure, chosen: StreamEvidence, alarmed: Sequence[StreamEvidence]
) -> None:
    """Names above the ends of lines; one label for all where the lines end near each other."""
    names = [_name(one) for one in alarmed[:NAMED]]
    names += [f"{len(alarmed) - NAMED} more"] if len(alarmed) > NAMED else []
    ends = {f"<b>{_name(chosen)}</b>": _end(chosen)} if chosen.strongest else {}
    if alarmed:
        near = bool(ends) and abs(np.log10(_end(alarmed[0]) / _end(chosen))) < _APART
        text = ", ".join([*ends, *names] if near else names)
        ends = {text: _end(alarmed[0])} if near else {**ends, text: _end(alarmed[0])}
    for text, at in ends.items():
        figure.add_annotation(
            x=1, xref="paper", y=np.log10(at), xanchor="right", yanchor="bottom", text=text,
            showarrow=False, font={"size": 11},
        )  # fmt: skip


def _end(one: StreamEvidence) -> float:
    """Where a label lies above a line's last days."""
    return float(one.strength[-3:].max())


def _add_resets(figure: go.Figure, one: StreamEvidence, x: Sequence[datetime]) -> None:
    days = np.flatnonzero(one.reset).tolist()
    if days:
        figure.add_scatter(
            name="reset",
            mode="markers",
            x=[x[day] for day in days],
            y=[1.0] * len(days),
            marker={"symbol": "x-thin", "size": 9, "line": {"color": MOVED, "width": 2}},
            hovertemplate="%{x|%Y-%m-%d}<br>evidence forgotten: another model version<extra></extra>",
        )
