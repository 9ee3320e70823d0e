"""Decisions over time as bars, stacked by what became of them."""

from __future__ import annotations

from datetime import timedelta

import plotly.graph_objects as go
import polars as pl

from observability.figures.palette import LIGHT, Palette

ORDER = ("executed", "modified", "deferred", "blocked")
"""From the axis outwards: what a gate did sits where the eye meets the edge."""


def timeline(
    over_time: pl.DataFrame, bucket_width: timedelta, palette: Palette = LIGHT
) -> go.Figure:
    """The counts of `Matching.over_time` (bucket, disposition, decisions), buckets UTC."""
    figure = go.Figure()
    for disposition in ORDER:
        rows = over_time.filter(pl.col("disposition") == disposition)
        if rows.is_empty():
            continue
        figure.add_bar(
            name=disposition,
            x=rows["bucket"].dt.replace_time_zone(None) + bucket_width / 2,
            y=rows["decisions"],
            width=bucket_width.total_seconds() * 1000,
            marker={"color": palette.of(disposition), "line": {"width": 0}},
            hovertemplate=f"%{{y:,}} {disposition}<extra></extra>",
        )
    figure.update_layout(
        barmode="stack",
        bargap=0.08,
        height=170,
        margin={"l": 0, "r": 0, "t": 26, "b": 0},
        hovermode="x unified",
        dragmode="select",
        selectdirection="h",
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
        showlegend=True,
    )
    figure.update_xaxes(type="date", title=None, automargin=True)
    figure.update_yaxes(title=None, automargin=True, rangemode="tozero", nticks=4, tickformat=",d")
    return figure
