"""Who decided: each gate's and each input's share of the action as bars with their error."""

from __future__ import annotations

import html

import plotly.graph_objects as go

from observability.explain.sentence import figures
from observability.explain.shares import Share, Shares
from observability.figures.frame import GRID, frame_rows
from observability.figures.palette import LIGHT
from observability.figures.waterfall import LOWERS, NEUTRAL, RAISES

TOP = 8
"""Parts drawn; those with a smaller share are left out."""


def ranked(shares: Shares, top: int = TOP) -> tuple[tuple[Share, bool], ...]:
    """The parts that have a share, the largest first, and whether each is a gate."""
    parts = [*((part, True) for part in shares.gates), *((part, False) for part in shares.features)]
    parts = [(part, gate) for part, gate in parts if part.share]
    return tuple(sorted(parts, key=lambda part: -abs(part[0].share))[:top])


def shares_chart(shares: Shares, top: int = TOP) -> go.Figure:
    """Draw the shares of one action, in per cent of it; gates and inputs in colours of their own."""
    drawn = ranked(shares, top)
    labels = [f"{'gate ' if gate else ''}{html.escape(part.name)}" for part, gate in drawn]
    figure = go.Figure()
    figure.add_bar(
        orientation="h",
        y=list(range(len(drawn))),
        x=[100 * part.share for part, _ in drawn],
        error_x={
            "array": [100 * part.standard_error for part, _ in drawn],
            "color": NEUTRAL,
            "thickness": 1,
            "width": 3,
        },
        marker={"color": [_colour(part, gate=gate) for part, gate in drawn], "line": {"width": 0}},
        customdata=[
            [label, figures(100 * part.standard_error)]
            for label, (part, _) in zip(labels, drawn, strict=True)
        ],
        hovertemplate="%{customdata[0]}<br>%{x:.3g} % ± %{customdata[1]} %<extra></extra>",
    )
    frame_rows(figure, labels, 90 + 27 * max(len(drawn), 1), autorange="reversed")
    figure.update_xaxes(
        title={"text": f"share of {html.escape(shares.action)}, % ± standard error"},
        gridcolor=GRID,
        zerolinecolor=NEUTRAL,
        automargin=True,
        fixedrange=True,
    )
    return figure


def _colour(part: Share, *, gate: bool) -> str:
    if gate:
        return LIGHT.modified
    return RAISES if part.share >= 0 else LOWERS
