"""What moved the scores: from the mean output before to that of now, input by input, as a waterfall."""

from __future__ import annotations

import html
from itertools import accumulate

import plotly.graph_objects as go

from observability.explain.score_drift import ScoreDrift
from observability.figures.frame import GRID, frame_rows
from observability.figures.waterfall import (
    NEUTRAL,
    TOP,
    Bar,
    add_bars,
    add_connectors,
    largest,
    minus,
    span,
)

RESIDUAL = "does not add up"


def score_bars(found: ScoreDrift, top: int = TOP) -> tuple[Bar, ...]:
    """The changes of mean attributions, the largest first; they sum to the change of the mean output.

    Where they do not on their own, the last one says so.
    """
    named = zip(found.of.inputs, found.parts.tolist(), strict=True)
    drawn = largest([Bar(html.escape(of.name), part) for of, part in named], top)
    return drawn if found.adds_up else (*drawn, Bar(RESIDUAL, found.residual))


def score_waterfall(found: ScoreDrift, unit: str, top: int = TOP) -> go.Figure:
    """Draw the change; `unit` is that of the outputs."""
    drawn = score_bars(found, top)
    steps = list(accumulate((bar.phi for bar in drawn), initial=found.before.output))
    extent = span([*steps, found.after.output])
    ends = (found.before.output, found.after.output)
    figure = go.Figure()
    add_connectors(figure, steps)
    add_bars(figure, drawn, steps)
    figure.add_scatter(
        name="mean outputs",
        x=list(ends),
        y=[0, len(drawn) + 1],
        mode="markers+text",
        marker={"color": NEUTRAL, "size": 11, "symbol": "circle"},
        text=[f" {minus(end)} " for end in ends],
        textposition=["middle left" if end > sum(extent) / 2 else "middle right" for end in ends],
        cliponaxis=False,
        customdata=[f"n = {side.n:,}" for side in (found.before, found.after)],
        hovertemplate="mean output %{x:.4g}<br>%{customdata}<extra></extra>",
    )
    labels = ["mean before", *(bar.label for bar in drawn), "mean now"]
    frame_rows(figure, labels, 70 + 24 * len(labels), autorange="reversed")
    figure.update_xaxes(
        title={"text": f"mean output, {html.escape(unit)}"}, range=list(extent), gridcolor=GRID,
        zeroline=False, automargin=True, fixedrange=True,
    )  # fmt: skip
    return figure
