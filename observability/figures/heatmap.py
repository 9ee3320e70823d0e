"""PSI as a heatmap over time: inputs or devices down, buckets across.

The colour is clear where nothing moved and full where all did, so it reads the same on light and on
dark, and for every eye: one hue, more or less of it, by the root of PSI. No step of it is a limit.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import plotly.graph_objects as go

from observability.monitor.drift import Cells

MOVED = "#8A63D2"
"""Readable on light and on dark, and no verdict's colour."""
_SCALE = [[0.0, "rgba(138,99,210,0.05)"], [1.0, "rgba(138,99,210,1)"]]
_TOO_FEW = [[0.0, "rgba(127,127,127,0.38)"], [1.0, "rgba(127,127,127,0.38)"]]
OF_DEVICES, OF_FLEET = 10.0, 2.0
"""PSI of the full colour. All of a device's values where one in ten belongs give about 8; a fleet of
which some devices do so, far less."""
_TICKS = (0, 0.1, 0.5, 1, 2, 5, 10)
_FEW_TICKS = (0, 1, 10)
_FEW_ROWS = 8
_ROW_PX, _FRAME_PX, _LEAST_PX = 19, 62, 110


def heatmap(
    cells: Cells,
    rows: Sequence[str],
    starts: Sequence[datetime],
    width: timedelta,
    *,
    baseline_until: datetime | None = None,
    chosen: str | None = None,
    most: float = OF_DEVICES,
    alarmed: np.ndarray | None = None,
) -> go.Figure:
    """Draw cells, the first row on top; a line where the baseline ends, the row `chosen` in bold.

    A dot lies on each cell that is `alarmed`, shape as the cells'.
    PSI of `most` and above has the full colour. Grey is too few values for a PSI; empty is nothing recorded.
    """
    x = [start.replace(tzinfo=None) + width / 2 for start in starts]
    said = _said(cells, starts, width)
    figure = go.Figure()
    few = np.where(np.isnan(cells.psi) & (cells.values > 0), 0.0, np.nan)
    shared = {"x": x, "y": list(range(len(rows))), "xgap": 1, "ygap": 1, "customdata": said}
    hover = "%{customdata}<extra></extra>"
    figure.add_heatmap(
        z=few, colorscale=_TOO_FEW, showscale=False, hoverongaps=False, hovertemplate=hover,
        name="too few", **shared,
    )  # fmt: skip
    figure.add_heatmap(
        z=np.sqrt(cells.psi), zmin=0.0, zmax=math.sqrt(most), colorscale=_SCALE,
        hoverongaps=False, hovertemplate=hover, name="PSI", colorbar=_colorbar(len(rows), most), **shared,
    )  # fmt: skip
    if alarmed is not None and alarmed.any():
        _add_alarms(figure, alarmed, x)
    _add_end_of_baseline(figure, baseline_until, starts, width)
    figure.update_layout(
        height=_FRAME_PX + max(_ROW_PX * len(rows), _LEAST_PX),
        margin={"l": 0, "r": 0, "t": 18, "b": 0},
        dragmode=False,
    )
    figure.update_xaxes(type="date", automargin=True, showgrid=False, fixedrange=True)
    figure.update_yaxes(
        tickvals=list(range(len(rows))),
        ticktext=[_label(row, row == chosen) for row in rows],
        range=[len(rows) - 0.5, -0.5],
        automargin=True,
        showgrid=False,
        zeroline=False,
        fixedrange=True,
    )
    return figure


def _said(cells: Cells, starts: Sequence[datetime], width: timedelta) -> list[list[str]]:
    """What a cell says when pointed at."""
    days = [
        f"{start:%Y-%m-%d}"
        if width <= timedelta(days=1)
        else f"{start:%Y-%m-%d}, {width.days} days"
        for start in starts
    ]
    return [
        [
            f"{day}<br>"
            + ("no PSI" if math.isnan(effect) else f"PSI {effect:.3g}")
            + f"<br>n = {values:,}<br>missing {missing:.1%}"
            for day, effect, values, missing in zip(
                days, cells.psi[row], cells.values[row], cells.missing[row], strict=True
            )
        ]
        for row in range(len(cells.psi))
    ]


def _label(row: str, chosen: bool) -> str:
    """Escaped: names come from devices, and Plotly reads markup in texts."""
    text = html.escape(row if len(row) <= 28 else f"{row[:27]}…")
    return f"<b>{text}</b>" if chosen else text


def _colorbar(rows: int, most: float) -> dict[str, object]:
    ticks = [t for t in (_TICKS if rows >= _FEW_ROWS else _FEW_TICKS) if t <= most]
    return {
        "title": {"text": "PSI", "side": "top"},
        "tickvals": [math.sqrt(tick) for tick in ticks],
        "ticktext": [f"{tick:g}" for tick in ticks],
        "thickness": 10,
        "len": 1.0,
        "xpad": 6,
        "outlinewidth": 0,
    }


def _add_alarms(figure: go.Figure, alarmed: np.ndarray, x: Sequence[datetime]) -> None:
    rows, columns = np.nonzero(alarmed)
    figure.add_scatter(
        name="alarm",
        mode="markers",
        x=[x[n] for n in columns.tolist()],
        y=rows,
        hoverinfo="skip",
        showlegend=False,
        marker={"size": 6, "color": "#FFFFFF", "line": {"color": "#333333", "width": 1}},
    )


def _add_end_of_baseline(
    figure: go.Figure, until: datetime | None, starts: Sequence[datetime], width: timedelta
) -> None:
    if until is None or not starts or not starts[0] < until < starts[-1] + width:
        return
    at = until.replace(tzinfo=None)
    figure.add_shape(
        type="line", name="end of baseline", x0=at, x1=at, yref="paper", y0=0, y1=1,
        line={"color": "#7F7F7F", "width": 2, "dash": "dot"},
    )  # fmt: skip
    figure.add_annotation(
        x=at, yref="paper", y=1, yanchor="bottom", xanchor="right", showarrow=False,
        text="baseline ends",
    )  # fmt: skip
