"""One input's values in the baseline's bins: the baseline, how much its days differ, and now."""

from __future__ import annotations

import html
import itertools
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from observability.figures.heatmap import MOVED
from observability.monitor.drift import Overlay
from observability.monitor.usual_days import UsualDays
from observability.store.read_drift import Bins, Input

USUAL = "rgba(127,127,127,0.75)"
_BAND = "rgba(127,127,127,0.22)"


def overlay(shown: Overlay, of: Input, bins: Bins, days: UsualDays | None = None) -> go.Figure:
    """Shares of the recorded values by bin; bins are of equal count over the fleet's baseline.

    `days` is drawn behind them: a band where most days of the baseline lie.
    """
    labels = bin_labels(of, bins)
    figure = go.Figure()
    if days is not None:
        _add_band(figure, days, labels)
    for name, counted, colour in (
        ("baseline", shown.usual, USUAL),
        ("now", shown.now, MOVED),
    ):
        counts = counted[: len(labels)]
        total = counts.sum()
        figure.add_bar(
            name=f"{name}, n = {total:,}",
            x=list(range(len(labels))),
            y=counts / total if total else np.zeros(len(labels)),
            marker={"color": colour, "line": {"width": 0}},
            customdata=[
                f"{label}<br>{name}: {count:,} of {total:,}"
                for label, count in zip(labels, counts, strict=True)
            ],
            hovertemplate="%{customdata}, %{y:.1%}<extra></extra>",
        )
    figure.update_layout(
        barmode="group",
        bargap=0.18,
        bargroupgap=0.04,
        height=300,
        margin={"l": 0, "r": 0, "t": 28, "b": 0},
        dragmode=False,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    )
    unit = f", {of.unit}" if of.unit else ""
    figure.update_xaxes(
        tickvals=list(range(len(labels))), ticktext=labels, tickangle=-40, automargin=True,
        title={"text": html.escape(f"{of.name}{unit}")}, fixedrange=True,
    )  # fmt: skip
    figure.update_yaxes(tickformat=".0%", rangemode="tozero", nticks=5, fixedrange=True)
    return figure


def _add_band(figure: go.Figure, days: UsualDays, labels: Sequence[str]) -> None:
    """Bars with an offset of their own stand outside of the groups, behind them."""
    low, high = days.low[: len(labels)], days.high[: len(labels)]
    figure.add_bar(
        name="baseline's days, 10 to 90 %",
        x=list(range(len(labels))),
        base=low,
        y=high - low,
        width=0.96,
        offset=-0.48,
        marker={"color": _BAND, "line": {"width": 0}},
        customdata=[
            f"{label}<br>{days.days} days of the baseline: {least:.1%} to {most:.1%}"
            for label, least, most in zip(labels, low, high, strict=True)
        ],
        hovertemplate="%{customdata}<extra></extra>",
    )


def bin_labels(of: Input, bins: Bins) -> tuple[str, ...]:
    """What each bin holds; escaped.

    >>> bin_labels(Input("t"), Bins((1.5, 20.0), 0.0, 30.0))
    ('≤ 1.5', '1.5 – 20', '> 20')
    """
    if of.levels:
        return (*(html.escape(level) for level in of.levels), "others")
    edges = _short(bins.edges)
    if not edges:
        return ("all",)
    between = [f"{low} – {high}" for low, high in itertools.pairwise(edges)]
    return (f"≤ {edges[0]}", *between, f"> {edges[-1]}")


def _short(edges: Sequence[float]) -> list[str]:
    """As few figures as tell the edges apart."""
    for figures in range(3, 9):
        texts = [f"{edge:.{figures}g}" for edge in edges]
        if len(set(texts)) == len(texts):
            break
    else:
        texts = [repr(edge) for edge in edges]
    return [f"{float(text):,.10g}".replace("-", "−") for text in texts]
