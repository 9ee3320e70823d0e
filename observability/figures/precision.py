"""Precision over time: what labels say, what it can be at all, and how much is labelled."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from observability.figures.palette import LIGHT, Palette
from observability.monitor.performance import Slice

_BAND = "rgba(127,127,127,0.28)"


def precision(slices: Sequence[Slice], width: timedelta, palette: Palette = LIGHT) -> go.Figure:
    """Stretches of `width` with a mature act: precision above, with its interval and band; labels below."""
    shown = [one for one in slices if one.acts and one.start is not None]
    x = [one.start.replace(tzinfo=None) + width / 2 for one in shown if one.start is not None]
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.1, row_heights=[0.7, 0.3]
    )
    figure.add_bar(
        name="can be, whatever the unknown are",
        x=x,
        base=[one.precision.least for one in shown],
        y=[one.precision.most - one.precision.least for one in shown],
        marker={"color": _BAND, "line": {"width": 0}},
        customdata=[
            f"{one.precision.least:.1%} to {one.precision.most:.1%} of {one.acts:,}"
            for one in shown
        ],
        hovertemplate="can be %{customdata}<extra></extra>",
        row=1,
        col=1,
    )
    figure.add_scatter(
        name="carried out and labelled, 95 % interval",
        x=x,
        y=[one.precision.value for one in shown],
        mode="markers",
        marker={"color": palette.executed, "size": 7},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [one.precision.high - one.precision.value for one in shown],
            "arrayminus": [one.precision.value - one.precision.low for one in shown],
            "color": palette.executed,
            "thickness": 1.6,
            "width": 4,
        },
        customdata=[one.precision.n for one in shown],
        hovertemplate="precision %{y:.1%}, n = %{customdata:,}<extra></extra>",
        row=1,
        col=1,
    )
    figure.add_bar(
        name="labelled",
        x=x,
        y=[one.labelled / one.actuated if one.actuated else 0.0 for one in shown],
        marker={"color": palette.unknown, "line": {"width": 0}},
        customdata=[f"{one.labelled:,} of {one.actuated:,} carried out" for one in shown],
        hovertemplate="labelled %{y:.1%}, %{customdata}<extra></extra>",
        showlegend=False,
        row=2,
        col=1,
    )
    figure.update_layout(
        barmode="overlay",
        bargap=0.3,
        height=330,
        margin={"l": 0, "r": 0, "t": 28, "b": 0},
        dragmode=False,
        hovermode="x unified",
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    )
    figure.update_xaxes(type="date", automargin=True, fixedrange=True)
    figure.update_yaxes(
        range=[-0.02, 1.05], tickformat=".0%", nticks=5, fixedrange=True, automargin=True
    )
    figure.update_yaxes(title={"text": "precision"}, row=1, col=1)
    figure.update_yaxes(title={"text": "labelled"}, nticks=3, row=2, col=1)
    return figure
