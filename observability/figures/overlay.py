"""One input's values in the baseline's bins: the baseline beside now."""

from __future__ import annotations

import html
import itertools
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from observability.figures.heatmap import MOVED
from observability.monitor.drift import Overlay
from observability.store.read_drift import Bins, Input

USUAL = "rgba(127,127,127,0.75)"


def overlay(shown: Overlay, of: Input, bins: Bins) -> go.Figure:
    """Shares of the recorded values by bin; bins are of equal count over the fleet's baseline."""
    labels = bin_labels(of, bins)
    figure = go.Figure()
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
