"""Each input of one device beside the others' usual range, as small multiples over time."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from datetime import timedelta

import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots

from observability.figures.course import BAND
from observability.figures.palette import LIGHT, Palette
from observability.figures.waterfall import LOWERS, RAISES

COLUMNS = 3
_ROW_HEIGHT = 150
_LONGEST_NAME = 34


def beside(
    inputs: pl.DataFrame,
    names: Sequence[str],
    units: Mapping[str, str],
    bucket_width: timedelta,
    palette: Palette = LIGHT,
) -> go.Figure:
    """The named inputs of `Course.inputs`, each in a panel of its own; buckets UTC.

    A band is the others' 5th to 95th percentile, the line the device's median; where the line leaves
    the band it is marked with a triangle that points there.
    """
    rows = -(-len(names) // COLUMNS)
    figure = make_subplots(
        rows=rows,
        cols=COLUMNS,
        vertical_spacing=min(0.24, 36 / (_ROW_HEIGHT * rows)),
        horizontal_spacing=0.05,
    )
    for place, name in enumerate(names):
        found = inputs.filter(pl.col("name") == name).sort("bucket")
        at = {"row": place // COLUMNS + 1, "col": place % COLUMNS + 1}
        _add_panel(figure, found, bucket_width, palette, first=place == 0, at=at)
        _add_title(figure, _title(name, units.get(name, "")), at)
    figure.update_layout(
        height=_ROW_HEIGHT * rows + 84,
        margin={"l": 0, "r": 0, "t": 24, "b": 60},
        hovermode="x unified",
        dragmode=False,
        legend={"orientation": "h", "x": 0, "y": -36 / (_ROW_HEIGHT * rows), "yanchor": "top"},
        showlegend=True,
    )
    figure.update_xaxes(
        type="date", title=None, nticks=5, fixedrange=True, matches="x", showticklabels=False
    )
    for column in range(min(COLUMNS, len(names))):
        last = (len(names) - 1 - column) // COLUMNS + 1
        figure.update_xaxes(showticklabels=True, row=last, col=column + 1)
    figure.update_yaxes(title=None, automargin=True, nticks=4, fixedrange=True)
    return figure


def _add_panel(
    figure: go.Figure,
    found: pl.DataFrame,
    width: timedelta,
    palette: Palette,
    *,
    first: bool,
    at: Mapping[str, int],
) -> None:
    x = found["bucket"].dt.replace_time_zone(None) + width / 2
    for name, column in (("", "low"), ("the others, 5 to 95 %", "high")):
        figure.add_scatter(
            name=name, legendgroup="others", x=x, y=found[column], mode="lines",
            line={"width": 0}, fill="tonexty" if name else None, fillcolor=BAND,
            hovertemplate=f"others {'95 %' if name else '5 %'} %{{y:.4g}}<extra></extra>",
            showlegend=first and bool(name), **at,
        )  # fmt: skip
    figure.add_scatter(
        name="this device, median", legendgroup="own", x=x, y=found["median"], mode="lines",
        line={"color": palette.executed, "width": 1.6},
        hovertemplate="here %{y:.4g}<extra></extra>", showlegend=first, **at,
    )  # fmt: skip
    for name, beyond, colour, symbol in (
        ("above them", pl.col("median") > pl.col("high"), RAISES, "triangle-up"),
        ("below them", pl.col("median") < pl.col("low"), LOWERS, "triangle-down"),
    ):
        out = found.with_columns(
            pl.when(beyond).then(pl.col("median")).otherwise(None).alias("out")
        )
        figure.add_scatter(
            name=name, legendgroup=name, x=x, y=out["out"], mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 7}, hoverinfo="skip",
            showlegend=first, **at,
        )  # fmt: skip


def _title(name: str, unit: str) -> str:
    short = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"
    return f"<b>{html.escape(short)}</b>{f' {html.escape(unit)}' if unit else ''}"


def _add_title(figure: go.Figure, title: str, at: Mapping[str, int]) -> None:
    figure.add_annotation(
        text=title, x=0, xref="x domain", xanchor="left", y=1, yref="y domain", yanchor="bottom",
        showarrow=False, font={"size": 12}, **at,
    )  # fmt: skip
