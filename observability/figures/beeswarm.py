"""Each drawn decision as a dot for each input: how far the input pushed it, and how high the input was."""

from __future__ import annotations

import html

import numpy as np
import plotly.graph_objects as go

from observability.explain.drawn import Drawn
from observability.explain.sentence import figures
from observability.store.read_drift import Input

TOP = 10
"""Inputs drawn, the largest mean |phi| first."""
MOST_DOTS = 6_000
"""More would keep a browser busy; each input then shows fewer decisions."""
BY_RANK = [[0.0, "#2F7FD6"], [0.5, "#9C9AA6"], [1.0, "#E07B1A"]]
"""Low to high values: blue to orange, told apart by every eye, on light and on dark."""
MISSING = "rgba(127,127,127,0.45)"
_COLUMNS = 120
_HALF = 0.42
_ROW_PX, _FRAME_PX = 38, 84


def beeswarm(found: Drawn, unit: str, top: int = TOP) -> go.Figure:
    """A row for each of the weightiest inputs, a trace of its own each; `unit` is that of phi.

    Colour is the value's rank among those drawn; grey is missing.
    """
    ranked = found.ranked[:top]
    shown = slice(MOST_DOTS // max(len(ranked), 1))
    figure = go.Figure()
    for row, number in enumerate(ranked):
        of, phi = found.of.inputs[number], found.phi[shown, number]
        values, ranks = found.values[shown, number], found.ranks(number)[shown]
        figure.add_scatter(
            name=html.escape(of.name),
            x=phi,
            y=row + _offsets(phi, found.phi[:, ranked]),
            mode="markers",
            marker={"size": 5, "opacity": 0.75, "coloraxis": "coloraxis", "color": ranks},
            unselected={"marker": {"opacity": 0.75}},
            text=[value_text(of, value) for value in values],
            hovertemplate="%{text}<br>pushed by %{x:.3g}<extra></extra>",
        )
    _lay_out(figure, [found.of.inputs[number].name for number in ranked], unit)
    return figure


def value_text(of: Input, value: float) -> str:
    """A drawn value in words, escaped.

    >>> value_text(Input("t", "°C"), 71.24), value_text(Input("mode", levels=("eco", "max")), 1.0)
    ('t = 71.2 °C', 'mode = max')
    """
    if np.isnan(value):
        return f"{html.escape(of.name)}: missing"
    unit = "" if of.unit == "1" else f" {of.unit}"
    said = of.levels[int(value)] if of.levels else f"{figures(value)}{unit}".rstrip()
    return html.escape(f"{of.name} = {said}")


def _offsets(phi: np.ndarray, every: np.ndarray) -> np.ndarray:
    """How far each dot leaves its row's middle, so that dots of about the same phi lie side by side."""
    low, high = every.min(initial=0.0), every.max(initial=0.0)
    columns = np.round((phi - low) / (high - low or 1.0) * _COLUMNS).astype(np.int64)
    order = np.argsort(columns, kind="stable")
    starts = np.searchsorted(columns[order], columns[order])
    place = np.empty(len(phi))
    place[order] = np.arange(len(phi)) - starts
    steps = np.where(place % 2 == 1, 1, -1) * np.ceil(place / 2)
    return steps * min(0.08, _HALF / max(np.abs(steps).max(initial=0.0), 1.0))


def _lay_out(figure: go.Figure, names: list[str], unit: str) -> None:
    figure.update_layout(
        height=_FRAME_PX + _ROW_PX * len(names),
        margin={"l": 0, "r": 0, "t": 8, "b": 0},
        showlegend=False,
        dragmode=False,
        hovermode="closest",
        coloraxis={
            "colorscale": BY_RANK,
            "cmin": 0.0,
            "cmax": 1.0,
            "colorbar": {
                "title": {"text": "value", "side": "top"},
                "tickvals": [0, 0.5, 1],
                "ticktext": ["low", "middle", "high"],
                "thickness": 10,
                "len": 1.0,
                "xpad": 6,
                "outlinewidth": 0,
            },
        },
    )
    figure.update_xaxes(
        title={"text": html.escape(f"phi, {unit}")}, zeroline=True, zerolinewidth=2,
        zerolinecolor="rgba(127,127,127,0.6)", automargin=True, fixedrange=True,
    )  # fmt: skip
    figure.update_yaxes(
        tickvals=list(range(len(names))), ticktext=[html.escape(name) for name in names],
        range=[len(names) - 0.5, -0.5], showgrid=False, zeroline=False, automargin=True,
        fixedrange=True,
    )  # fmt: skip
