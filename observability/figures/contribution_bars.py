"""Whose shift it is: each device's or group's share as bars, its own values apart from the mix."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from observability.figures.frame import GRID, frame_rows
from observability.figures.heatmap import MOVED
from observability.monitor.contribution import Contributions

TOP = 15
"""Bars drawn; all others together are one more."""
_MIX = "#7F7F7F"


def contribution_bars(
    names: Sequence[str], parts: Contributions, chosen: str | None = None, top: int = TOP
) -> go.Figure:
    """Shares of the fleet's shift in per cent, the largest on top; they sum to 100.

    Left of zero: one that pulls the fleet back. The name of `chosen` is bold.
    """
    labels, within, mix = _rows(names, parts, chosen, top)
    sides = (("its values moved", within, MOVED), ("it decides more or less often", mix, _MIX))
    figure = go.Figure()
    for name, values, colour in sides:
        figure.add_bar(
            name=name,
            orientation="h",
            y=list(range(len(labels))),
            x=values,
            marker={"color": colour, "line": {"width": 0}},
            customdata=[
                f"{label}<br>{total:.3g} % of the shift"
                for label, total in zip(labels, within + mix, strict=True)
            ],
            hovertemplate=f"%{{customdata}}<br>{name}: %{{x:.3g}} %<extra></extra>",
        )  # fmt: skip
    frame_rows(figure, labels, 84 + 21 * max(len(labels), 3), autorange="reversed")
    figure.update_layout(
        barmode="relative",
        showlegend=True,
        margin={"l": 8, "r": 8, "t": 28, "b": 8},
        legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom", "traceorder": "normal"},
    )
    figure.update_xaxes(
        title={"text": "share of the shift"}, ticksuffix=" %", gridcolor=GRID, zerolinecolor=_MIX,
        automargin=True, fixedrange=True,
    )  # fmt: skip
    return figure


def _rows(
    names: Sequence[str], parts: Contributions, chosen: str | None, top: int
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Labels, and of each the two shares in per cent. Names come from devices and are escaped."""
    scale = 100 / parts.whole if parts.whole > 0 else 0.0
    order = np.argsort(-parts.parts, kind="stable")
    alone, rest = (order, order[:0]) if len(order) <= top + 1 else (order[:top], order[top:])
    ranked = [names[int(place)] for place in alone]
    labels = [_label(name, name == chosen) for name in ranked]
    within, mix = parts.within[alone] * scale, parts.mix[alone] * scale
    if not len(rest):
        return labels, within, mix
    return (
        [*labels, f"{len(rest)} others"],
        np.append(within, parts.within[rest].sum() * scale),
        np.append(mix, parts.mix[rest].sum() * scale),
    )


def _label(name: str, chosen: bool) -> str:
    text = html.escape(name if len(name) <= 28 else f"{name[:27]}…")
    return f"<b>{text}</b>" if chosen else text
