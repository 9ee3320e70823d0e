"""Mean |phi| as a heatmap: inputs down, time across.

One hue, more or less of it, by the root: the small stay visible beside the largest.
"""

from __future__ import annotations

import html
import math

import numpy as np
import plotly.graph_objects as go

from observability.explain.importance import Importance
from observability.explain.sentence import figures

TOP = 15
"""Inputs drawn each as a row of its own; the others share one."""
_SCALE = [[0.0, "rgba(138,99,210,0.05)"], [1.0, "rgba(138,99,210,1)"]]
_ROW_PX, _FRAME_PX = 21, 66


def importance_over_time(found: Importance, unit: str, top: int = TOP) -> go.Figure:
    """The weightiest input on top, each with its share of all mean |phi|; `unit` is that of phi.

    Empty is a time in which nothing was explained.
    """
    cells, rows = _rows(found, top)
    most = float(np.nanmax(cells)) or 1.0
    figure = go.Figure()
    figure.add_heatmap(
        x=[start.replace(tzinfo=None) + found.width / 2 for start in found.starts],
        y=list(range(len(rows))),
        z=np.sqrt(cells),
        zmin=0.0,
        zmax=math.sqrt(most),
        colorscale=_SCALE,
        hoverongaps=False,
        customdata=_said(found, cells, unit),
        hovertemplate="%{customdata}<extra></extra>",
        name="mean |phi|",
        xgap=1,
        ygap=1,
        colorbar=_colorbar(most, unit),
    )
    figure.update_layout(
        height=_FRAME_PX + max(_ROW_PX * len(rows), 110),
        margin={"l": 0, "r": 0, "t": 8, "b": 0},
        dragmode=False,
    )
    figure.update_xaxes(type="date", automargin=True, showgrid=False, fixedrange=True)
    figure.update_yaxes(
        tickvals=list(range(len(rows))), ticktext=rows, range=[len(rows) - 0.5, -0.5],
        automargin=True, showgrid=False, zeroline=False, fixedrange=True,
    )  # fmt: skip
    return figure


def _rows(found: Importance, top: int) -> tuple[np.ndarray, list[str]]:
    """Mean |phi| `(n_rows, n_buckets)` and the rows' labels; the last is of what `top` leaves out."""
    ranked = list(found.ranked)
    alone, rest = (ranked, []) if len(ranked) <= top + 1 else (ranked[:top], ranked[top:])
    cells = found.mean_abs.T
    rows = [row_label(found.of.inputs[n].name, found.shares[n]) for n in alone]
    if rest:
        cells = np.vstack([cells[alone], cells[rest].sum(axis=0)])
        return cells, [*rows, row_label(f"{len(rest)} others", float(found.shares[rest].sum()))]
    return cells[alone], rows


def row_label(name: str, share: float) -> str:
    """Escaped: names come from devices, and Plotly reads markup in texts.

    >>> row_label("<b>", 0.382)
    '&lt;b&gt;  38 %'
    """
    return f"{html.escape(name if len(name) <= 28 else f'{name[:27]}…')}  {share:.0%}".replace(
        "%", " %"
    )


def _said(found: Importance, cells: np.ndarray, unit: str) -> list[list[str]]:
    """What a cell says when pointed at."""
    totals = found.mean_abs.sum(axis=1)
    return [
        [
            f"{start:%Y-%m-%d %H:%M} UTC<br>mean |phi| {figures(value)} {html.escape(unit)}<br>"
            f"{value / total if total else 0:.0%} of all<br>n = {n:,}"
            for start, value, total, n in zip(
                found.starts, row, totals, found.attributions, strict=True
            )
        ]
        for row in cells
    ]


def _colorbar(most: float, unit: str) -> dict[str, object]:
    ticks = [0.0, most / 10, most / 2, most]
    return {
        "title": {"text": html.escape(unit), "side": "top"},
        "tickvals": [math.sqrt(tick) for tick in ticks],
        "ticktext": [f"{tick:.2g}" for tick in ticks],
        "thickness": 10,
        "len": 1.0,
        "xpad": 6,
        "outlinewidth": 0,
    }
