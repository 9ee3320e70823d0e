"""How decisions arrive: how many, and how long after they were decided."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots

from observability.figures.palette import LIGHT, Palette

_FASTEST_S = 0.001
"""What is drawn for a lag of nothing, or of a clock that is ahead: the axis is logarithmic."""
_TICKS = {
    0.001: "1 ms", 0.01: "10 ms", 0.1: "0.1 s", 1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min",
    3600: "1 h", 21600: "6 h", 86400: "1 d", 604800: "7 d", 2592000: "30 d",
}  # fmt: skip
_LINE = "#7F7F7F"


def arrivals(
    over_time: pl.DataFrame, bucket_width: timedelta, palette: Palette = LIGHT
) -> go.Figure:
    """`Health.over_time` (bucket, decisions, median_s, high_s), buckets UTC: bars above, lags below."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.1)
    x = over_time["bucket"].dt.replace_time_zone(None) + bucket_width / 2
    figure.add_bar(
        name="decisions received",
        x=x,
        y=over_time["decisions"],
        width=bucket_width.total_seconds() * 1000,
        marker={"color": palette.executed, "line": {"width": 0}},
        hovertemplate="%{y:,} received<extra></extra>",
        row=1,
        col=1,
    )
    for name, column, dash in (("95 % within", "high_s", "dot"), ("median lag", "median_s", None)):
        figure.add_scatter(
            name=name,
            x=x,
            y=over_time[column].clip(_FASTEST_S),
            customdata=over_time[column],
            mode="lines+markers",
            marker={"size": 4},
            line={"color": _LINE if dash else palette.executed, "dash": dash, "width": 1.6},
            hovertemplate=f"{name} %{{customdata:,.3g}} s<extra></extra>",
            row=2,
            col=1,
        )
    figure.update_layout(
        height=290,
        margin={"l": 0, "r": 0, "t": 26, "b": 0},
        bargap=0.08,
        hovermode="x unified",
        dragmode="select",
        selectdirection="h",
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        showlegend=True,
    )
    figure.update_xaxes(type="date", title=None, automargin=True)
    figure.update_yaxes(title=None, automargin=True)
    figure.update_yaxes(rangemode="tozero", nticks=4, tickformat=",d", row=1, col=1)
    figure.update_yaxes(**_lag_axis(over_time), row=2, col=1)
    return figure


def _lag_axis(over_time: pl.DataFrame) -> dict[str, Any]:
    """Times as people say them, at most six of them."""
    lags = [*over_time["median_s"], *over_time["high_s"]]
    low = max(_FASTEST_S, min(lags, default=1.0))
    high = max(_FASTEST_S, max(lags, default=1.0))
    near = [tick for tick in _TICKS if low / 10 <= tick <= high * 10]
    kept = near[:: max(1, -(-len(near) // 6))]
    return {"type": "log", "tickvals": kept, "ticktext": [_TICKS[tick] for tick in kept]}
