"""Who decided: each gate's and each input's share of the action as bars with their error."""

from __future__ import annotations

import html

import plotly.graph_objects as go

from observability.explain.sentence import figures
from observability.explain.shares import Share, Shares
from observability.figures.palette import LIGHT
from observability.figures.waterfall import LOWERS, NEUTRAL, RAISES

TOP = 8
"""Parts drawn; those with a smaller share are left out."""
_GRID = "rgba(127,127,127,0.25)"
_CLEAR = "rgba(0,0,0,0)"


def ranked(shares: Shares, top: int = TOP) -> tuple[tuple[Share, bool], ...]:
    """The parts that have a share, the largest first, and whether each is a gate."""
    parts = [*((part, True) for part in shares.gates), *((part, False) for part in shares.features)]
    parts = [(part, gate) for part, gate in parts if part.share]
    return tuple(sorted(parts, key=lambda part: -abs(part[0].share))[:top])


def shares_chart(shares: Shares, top: int = TOP) -> go.Figure:
    """Draw the shares of one action, in per cent of it; gates and inputs in colours of their own.

    The background is transparent and texts take the theme's colour, so it is at home in light and dark.
    """
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
    figure.update_layout(
        height=90 + 27 * max(len(drawn), 1),
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        paper_bgcolor=_CLEAR,
        plot_bgcolor=_CLEAR,
        showlegend=False,
        dragmode=False,
        bargap=0.3,
    )
    figure.update_yaxes(
        tickvals=list(range(len(drawn))),
        ticktext=labels,
        autorange="reversed",
        showgrid=False,
        zeroline=False,
        automargin=True,
        fixedrange=True,
    )
    figure.update_xaxes(
        title={"text": f"share of {html.escape(shares.action)}, % ± standard error"},
        gridcolor=_GRID,
        zerolinecolor=NEUTRAL,
        automargin=True,
        fixedrange=True,
    )
    return figure


def _colour(part: Share, *, gate: bool) -> str:
    if gate:
        return LIGHT.modified
    return RAISES if part.share >= 0 else LOWERS
