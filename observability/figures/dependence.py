"""One input of the drawn decisions: its value across, what it pushed up."""

from __future__ import annotations

import html

import numpy as np
import plotly.graph_objects as go

from observability.explain.drawn import Drawn
from observability.figures.beeswarm import value_text
from observability.figures.heatmap import MOVED

_EDGES = (0.01, 0.025, *(place / 20 for place in range(1, 20)), 0.975, 0.99)
"""Shares of the values at which one group of the mean ends and the next begins: finer at both ends."""
_LINE = "#12908A"


def dependence(found: Drawn, number: int, unit: str) -> go.Figure:
    """The input with that index; `unit` is that of phi. Missing values are left out.

    Dots above one another have the same value: what else the model read differs. The line is the mean
    of groups of neighbours.
    """
    of = found.of.inputs[number]
    values, phi = found.values[:, number], found.phi[:, number]
    recorded = ~np.isnan(values)
    values, phi = values[recorded], phi[recorded]
    across, up = group_means(values, phi, of.levels)
    figure = go.Figure()
    figure.add_scatter(
        name="a decision",
        x=values + (_spread(len(values)) if of.levels else 0.0),
        y=phi,
        mode="markers",
        marker={"size": 5, "opacity": 0.45, "color": MOVED},
        text=[value_text(of, value) for value in values],
        hovertemplate="%{text}<br>pushed by %{y:.3g}<extra></extra>",
    )
    figure.add_scatter(
        name="mean",
        x=across,
        y=up,
        mode="markers" if of.levels else "lines",
        line={"color": _LINE, "width": 2.5},
        marker={"symbol": "line-ew", "size": 36, "line": {"color": _LINE, "width": 3}},
        hovertemplate="mean %{y:.3g}<extra></extra>",
    )
    name = of.name if of.unit in ("", "1") else f"{of.name}, {of.unit}"
    figure.update_layout(
        height=380,
        margin={"l": 0, "r": 0, "t": 28, "b": 0},
        dragmode=False,
        hovermode="closest",
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    )
    figure.update_xaxes(title={"text": html.escape(name)}, automargin=True, fixedrange=True)
    if of.levels:
        figure.update_xaxes(
            tickvals=list(range(len(of.levels))), ticktext=[html.escape(x) for x in of.levels]
        )
    figure.update_yaxes(
        title={"text": html.escape(f"phi, {unit}")}, zeroline=True, zerolinewidth=2,
        zerolinecolor="rgba(127,127,127,0.6)", automargin=True, fixedrange=True,
    )  # fmt: skip
    return figure


def group_means(
    values: np.ndarray, phi: np.ndarray, levels: tuple[str, ...] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Mean value and mean phi of each level, or of groups of neighbours; a value is in one group."""
    if levels or len(np.unique(values)) <= len(_EDGES):
        groups = np.unique(values, return_inverse=True)[1]
    else:
        edges = np.unique(np.quantile(values, _EDGES))
        groups = np.unique(np.searchsorted(edges, values), return_inverse=True)[1]
    counts = np.bincount(groups)
    return np.bincount(groups, values) / counts, np.bincount(groups, phi) / counts


def _spread(size: int) -> np.ndarray:
    """Levels have no width: dots of one lie beside each other, evenly and the same each time."""
    return ((np.arange(size) * 0.618) % 1.0 - 0.5) * 0.5
