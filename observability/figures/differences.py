"""What is different about a selection, as bars: what its inputs pushed, and the inputs themselves."""

from __future__ import annotations

import html

import numpy as np
import plotly.graph_objects as go

from observability.explain.differences import Difference, Differences
from observability.figures.heatmap import MOVED

TOP = 10
"""Inputs drawn, the most different first."""
FARTHEST = 3.0
"""Standard deviations at which a bar ends; the number beside it goes on."""
_INPUT = "#7F7F7F"


def differences_ranked(found: Differences, top: int = TOP) -> go.Figure:
    """Standardised differences of mean phi and of mean value, selection less the others."""
    shown = found.ranked[:top]
    figure = go.Figure()
    for name, colour, sizes in (
        ("phi, what it pushed", MOVED, [one.phi.standardised for one in shown]),
        ("its value", _INPUT, [one.value.standardised for one in shown]),
    ):
        figure.add_bar(
            name=name,
            orientation="h",
            y=list(range(len(shown))),
            x=np.clip(sizes, -FARTHEST, FARTHEST),
            marker={"color": colour, "line": {"width": 0}},
            text=[size_text(size) for size in sizes],
            textposition="outside",
            cliponaxis=False,
            customdata=[label(one) for one in shown],
            hovertemplate=f"%{{customdata}}<br>{name}: %{{text}} standard deviations<extra></extra>",
        )
    figure.update_layout(
        barmode="group",
        bargap=0.28,
        bargroupgap=0.06,
        height=96 + 42 * len(shown),
        margin={"l": 0, "r": 0, "t": 28, "b": 0},
        dragmode=False,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
    )
    figure.update_xaxes(
        title={"text": "selection less the others, standard deviations"},
        range=[-FARTHEST - 0.7, FARTHEST + 0.7], zeroline=True, zerolinewidth=2,
        zerolinecolor="rgba(127,127,127,0.6)", automargin=True, fixedrange=True,
    )  # fmt: skip
    figure.update_yaxes(
        tickvals=list(range(len(shown))), ticktext=[label(one) for one in shown],
        range=[len(shown) - 0.5, -0.5], showgrid=False, automargin=True, fixedrange=True,
    )  # fmt: skip
    return figure


def size_text(size: float) -> str:
    """A standardised difference as text.

    >>> size_text(0.714), size_text(-2.0), size_text(float("inf")), size_text(float("nan"))
    ('+0.71', '−2.00', '+∞', '')
    """
    if np.isnan(size):
        return ""
    text = f"{size:+.2f}" if np.isfinite(size) else f"{'+' if size > 0 else '-'}∞"
    return text.replace("-", "−")


def label(one: Difference) -> str:
    """An input's name, with the level whose share is compared; escaped."""
    return html.escape(one.name if one.level is None else f"{one.name} = {one.level}")
