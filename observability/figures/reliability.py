"""Whether a score means what it says: how often what it called likely was so."""

from __future__ import annotations

import plotly.graph_objects as go

from observability.figures.palette import LIGHT, Palette
from observability.monitor.performance import Calibration

_DIAGONAL = "#7F7F7F"


def reliability(shown: Calibration, palette: Palette = LIGHT) -> go.Figure:
    """The share that was needed over the mean score of each bin, with 95 % intervals."""
    bins = shown.bins
    figure = go.Figure()
    figure.add_scatter(
        name="calibrated", x=[0, 1], y=[0, 1], mode="lines", hoverinfo="skip",
        line={"color": _DIAGONAL, "dash": "dot", "width": 1.4},
    )  # fmt: skip
    figure.add_scatter(
        name="labelled decisions, 95 % interval",
        x=[one.score for one in bins],
        y=[one.observed.value for one in bins],
        mode="markers",
        marker={"color": palette.executed, "size": 8},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [one.observed.high - one.observed.value for one in bins],
            "arrayminus": [one.observed.value - one.observed.low for one in bins],
            "color": palette.executed,
            "thickness": 1.4,
            "width": 3,
        },
        customdata=[
            f"mean score {one.score:.3g}<br>needed {one.observed.value:.1%}, n = {one.n:,}<br>"
            f"95 % interval {one.observed.low:.1%} to {one.observed.high:.1%}"
            for one in bins
        ],
        hovertemplate="%{customdata}<extra></extra>",
    )
    figure.update_layout(
        height=300,
        margin={"l": 0, "r": 8, "t": 28, "b": 0},
        dragmode=False,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    )
    figure.update_xaxes(
        title={"text": "mean score of the bin"}, range=[-0.03, 1.03], fixedrange=True, automargin=True
    )  # fmt: skip
    figure.update_yaxes(
        title={"text": "share that was needed"}, range=[-0.03, 1.05], tickformat=".0%",
        fixedrange=True, automargin=True,
    )  # fmt: skip
    return figure
