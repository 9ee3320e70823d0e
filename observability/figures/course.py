"""One device over time: its decisions, its scores against the threshold, and what was released to it."""

from __future__ import annotations

import html
from datetime import timedelta

import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots

from observability.figures.palette import LIGHT, Palette
from observability.figures.timeline import timeline

BAND = "rgba(127,127,127,0.28)"
_RELEASE = "#7F7F7F"
ROOM_FOR_LABELS = 18
_LONGEST_LABEL = 30


def course(
    over_time: pl.DataFrame,
    scores: pl.DataFrame,
    releases: pl.DataFrame,
    bucket_width: timedelta,
    palette: Palette = LIGHT,
) -> go.Figure:
    """Frames of `Course` (over_time, scores) and of `changes_within` (at, said); times UTC."""
    scored = not scores.is_empty()
    figure = make_subplots(rows=2 if scored else 1, cols=1, shared_xaxes=True, vertical_spacing=0.1)
    for bars in timeline(over_time, bucket_width, palette).data:
        figure.add_trace(bars, row=1, col=1)
    if scored:
        _add_scores(figure, scores, bucket_width, palette)
    labels = add_changes(figure, releases)
    figure.update_layout(
        barmode="stack",
        bargap=0.08,
        height=(366 if scored else 226) + ROOM_FOR_LABELS * labels,
        margin={"l": 0, "r": 0, "t": 30 + ROOM_FOR_LABELS * labels, "b": 60},
        hovermode="x unified",
        dragmode="select",
        selectdirection="h",
        legend={"orientation": "h", "x": 0, "y": -0.17, "yanchor": "top", "traceorder": "normal"},
        showlegend=True,
    )
    figure.update_xaxes(type="date", title=None, automargin=True)
    figure.update_yaxes(title=None, automargin=True, nticks=4)
    figure.update_yaxes(rangemode="tozero", tickformat=",d", row=1, col=1)
    return figure


def _add_scores(
    figure: go.Figure, scores: pl.DataFrame, width: timedelta, palette: Palette
) -> None:
    x = scores["bucket"].dt.replace_time_zone(None) + width / 2
    for name, column in (("", "low"), ("scores, 5 to 95 %", "high")):
        figure.add_scatter(
            name=name,
            x=x,
            y=scores[column],
            mode="lines",
            line={"width": 0},
            fill="tonexty" if name else None,
            fillcolor=BAND,
            hovertemplate=f"{'95 %' if name else '5 %'} %{{y:.3g}}<extra></extra>",
            showlegend=bool(name),
            row=2,
            col=1,
        )
    figure.add_scatter(
        name="median score",
        x=x,
        y=scores["median"],
        mode="lines+markers",
        marker={"size": 4},
        line={"color": palette.executed, "width": 1.6},
        hovertemplate="median score %{y:.3g}<extra></extra>",
        row=2,
        col=1,
    )
    if scores["threshold"].is_not_null().any():
        figure.add_scatter(
            name="threshold",
            x=x,
            y=scores["threshold"],
            mode="lines",
            line={"color": _RELEASE, "width": 1.6, "dash": "dash", "shape": "hv"},
            hovertemplate="threshold %{y:.3g}<extra></extra>",
            row=2,
            col=1,
        )


def add_changes(figure: go.Figure, changes: pl.DataFrame) -> int:
    """A line through all rows for each change (at, UTC; said, a list of texts); lines of labels needed.

    A label stands on the lowest free line.
    """
    if changes.is_empty():
        return 0
    times = changes["at"].dt.replace_time_zone(None).to_list()
    for place, (at, said) in enumerate(zip(times, changes["said"], strict=True)):
        figure.add_shape(
            type="line", name="release", x0=at, x1=at, xref="x", yref="paper", y0=0, y1=1,
            line={"color": _RELEASE, "width": 1.4, "dash": "dot"},
        )  # fmt: skip
        text = ", ".join(said)
        shown = text if len(text) <= 2 * _LONGEST_LABEL else f"{text[: 2 * _LONGEST_LABEL]}…"
        figure.add_annotation(
            x=at, xref="x", y=1, yref="paper", yanchor="bottom", xanchor="left", showarrow=False,
            yshift=ROOM_FOR_LABELS * (place % _lines(len(times))), xshift=-3, align="left",
            text=f"▼ {html.escape(shown)}", font={"size": 11},
        )  # fmt: skip
    return _lines(len(times))


def _lines(releases: int) -> int:
    return min(4, releases)
