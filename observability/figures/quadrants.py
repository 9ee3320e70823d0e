"""What moves and matters: inputs by how far they moved and by how much they weigh, in four quadrants."""

from __future__ import annotations

import html
import math

import plotly.graph_objects as go

from observability.explain.relevance import Relevance, Relevances
from observability.figures.frame import GRID
from observability.figures.heatmap import MOVED
from observability.monitor.evidence import LEAST_EFFECT

NAMED = 6
"""Inputs named at most beside the chosen one: those that alarmed and matter, then those far away."""
_NEUTRAL = "#7F7F7F"
_LEAST, _MOST, _HALF_WAY = 0.001, 15.0, 0.5
_TICKS = (0.001, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)


def quadrants(found: Relevances, chosen: str | None = None) -> go.Figure:
    """PSI across by its logarithm, mean |phi| as a share of all upwards; a full dot alarmed."""
    named = {one.name for one in (*found.telling, *found.far)[:NAMED]} | {chosen}
    top = 1.2 * max((one.share for one in found.inputs), default=1.0) or 1.0
    fair = 1 / found.parts if found.parts else 0.0
    figure = go.Figure()
    for alarmed in (False, True):
        shown = [one for one in found.inputs if one.alarmed is alarmed]
        figure.add_scatter(
            name="alarmed" if alarmed else "no alarm",
            mode="markers+text",
            x=[min(max(one.psi, _LEAST), _MOST) for one in shown],
            y=[one.share for one in shown],
            text=[f"  {_label(one.name, chosen)}" if one.name in named else "" for one in shown],
            textposition=[
                "middle left" if one.psi > _HALF_WAY else "middle right" for one in shown
            ],
            cliponaxis=False,
            marker={
                "size": 10,
                "symbol": "circle" if alarmed else "circle-open",
                "color": MOVED,
                "line": {"width": 1.6, "color": MOVED},
            },
            customdata=[_said(one) for one in shown],
            hovertemplate="%{customdata}<extra></extra>",
        )
    _add_quadrants(figure, fair)
    figure.update_layout(
        height=340,
        margin={"l": 0, "r": 8, "t": 28, "b": 0},
        dragmode=False,
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    )
    figure.update_xaxes(
        type="log", range=[math.log10(_LEAST) - 0.1, math.log10(_MOST) + 0.1], fixedrange=True,
        title={"text": "PSI, how far it moved"}, tickvals=_TICKS, ticktext=[f"{t:g}" for t in _TICKS],
        gridcolor=GRID, zeroline=False, automargin=True,
    )  # fmt: skip
    figure.update_yaxes(
        title={"text": "share of mean |attribution|"}, range=[-0.14 * top, top], tickformat=".0%",
        nticks=5, gridcolor=GRID, zeroline=False, fixedrange=True, automargin=True,
    )  # fmt: skip
    return figure


def _add_quadrants(figure: go.Figure, fair: float) -> None:
    """The two lines, and what lies between them in words in the corners."""
    line = {"color": _NEUTRAL, "width": 1.2, "dash": "dot"}
    figure.add_vline(x=LEAST_EFFECT, line=line)
    figure.add_hline(y=fair, line=line)
    for x, y, text in (
        (0, 1, "matters, steady"),
        (1, 1, "moved and matters"),
        (0, 0, "weighs little, steady"),
        (1, 0, "moved, weighs little"),
    ):
        figure.add_annotation(
            x=x, y=y, xref="paper", yref="paper", text=f"<i>{text}</i>", showarrow=False,
            xanchor="right" if x else "left", yanchor="top" if y else "bottom", font={"size": 11},
        )  # fmt: skip


def _label(name: str, chosen: str | None) -> str:
    """Escaped: names come from devices, and Plotly reads markup in texts."""
    text = html.escape(name if len(name) <= 28 else f"{name[:27]}…")
    return f"<b>{text}</b>" if name == chosen else text


def _said(one: Relevance) -> str:
    return (
        f"{html.escape(one.name)}<br>PSI {one.psi:.3g}<br>{one.share:.1%} of mean |attribution|"
        f"<br>{'alarmed' if one.alarmed else 'no alarm'}"
    )
