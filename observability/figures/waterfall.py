"""The attributions of one decision as a waterfall in the link's unit.

From the base at the top to the output at the bottom, the threshold drawn through. Single bars stay in
the link's unit, where they add up; only whole sums have a probability, on the second axis.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import plotly.graph_objects as go

from observability.explain.explanation import Attributions
from observability.explain.sentence import figures
from observability.figures.frame import GRID, frame_rows

TOP = 10
"""Inputs drawn each as a bar of its own; the others share one."""
RAISES, LOWERS = "#8A63D2", "#12908A"
"""Readable on light and on dark, and no verdict's colours."""
NEUTRAL = "#7F7F7F"
_PROBABILITIES = (1e-6, 1e-5, 1e-4, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5)


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its label (input, value, unit) and its part of the output, in the link's unit."""

    label: str
    phi: float


def bars(attributions: Attributions, top: int = TOP) -> tuple[Bar, ...]:
    """The bars from the largest part to the smallest, the rest as one last bar; they sum to all parts."""
    parts = zip(
        attributions.spec.features,
        attributions.values,
        attributions.units,
        attributions.phi,
        strict=True,
    )
    return largest([Bar(_label(n, v, u), phi) for n, v, u, phi in parts], top)


def largest(parts: Sequence[Bar], top: int = TOP) -> tuple[Bar, ...]:
    """The largest parts first, the rest as one last bar; they sum to all parts.

    >>> largest([Bar("a", 1.0), Bar("b", -3.0), Bar("c", 0.5)], top=1)
    (Bar(label='b', phi=-3.0), Bar(label='2 others', phi=1.5))
    """
    ranked = sorted(parts, key=lambda bar: -abs(bar.phi))
    rest = ranked[top:]
    if len(rest) < 2:
        return tuple(ranked)
    return (*ranked[:top], Bar(f"{len(rest)} others", math.fsum(bar.phi for bar in rest)))


def waterfall(attributions: Attributions, top: int = TOP) -> go.Figure:
    """Draw how the inputs led from the base to the output of one decision."""
    drawn = bars(attributions, top)
    steps = list(accumulate((bar.phi for bar in drawn), initial=attributions.base))
    extent = span([*steps, attributions.output], attributions.threshold)
    figure = go.Figure()
    add_connectors(figure, steps)
    add_bars(figure, drawn, steps)
    _add_ends(figure, attributions, len(drawn) + 1, sum(extent) / 2)
    _add_threshold(figure, attributions, sum(extent) / 2)
    labels = ["base", *(bar.label for bar in drawn), "output"]
    frame_rows(figure, labels, 130 + 27 * (len(labels) + 1), range=[len(labels) - 0.4, -1.6])
    _add_scales(figure, attributions, extent)
    return figure


def _label(name: str, value: float | str, unit: str) -> str:
    """Escaped: names and levels come from devices, and Plotly reads markup in texts."""
    shown = value if isinstance(value, str) else figures(value)
    missing = not isinstance(value, str) and math.isnan(value)
    text = f"{name}: {shown}" if missing else f"{name} = {shown}{f' {unit}' if unit else ''}"
    return html.escape(text)


def span(points: Sequence[float], threshold: float | None = None) -> tuple[float, float]:
    """The range of the axis, with room for the bars' numbers."""
    every = [*points, *([] if threshold is None else [threshold])]
    low, high = min(every), max(every)
    room = 0.18 * (high - low) or 0.5
    return low - room, high + room


def add_connectors(figure: go.Figure, steps: Sequence[float]) -> None:
    """What joins each bar to the next: `steps` are where bars end, the first where they begin."""
    x: list[float | None] = []
    y: list[float | None] = []
    for row, step in enumerate(steps):
        x += [step, step, None]
        y += [row, row + 1, None]
    line = {"color": NEUTRAL, "width": 1, "dash": "dot"}
    figure.add_scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", name="steps")


def add_bars(figure: go.Figure, drawn: Sequence[Bar], steps: Sequence[float]) -> None:
    """The bars in rows from 1 on, each from its step to the next."""
    figure.add_bar(
        name="inputs",
        orientation="h",
        y=list(range(1, len(drawn) + 1)),
        base=list(steps[:-1]),
        x=[bar.phi for bar in drawn],
        marker={
            "color": [RAISES if bar.phi >= 0 else LOWERS for bar in drawn],
            "line": {"width": 0},
        },
        text=[_signed(bar.phi) for bar in drawn],
        textposition="outside",
        cliponaxis=False,
        customdata=[[bar.label, "raises" if bar.phi >= 0 else "lowers"] for bar in drawn],
        hovertemplate="%{customdata[0]}<br>%{customdata[1]} the output by %{x:.3g}<extra></extra>",
    )


def _add_ends(figure: go.Figure, attributions: Attributions, last: int, middle: float) -> None:
    ends = (attributions.base, attributions.output)
    figure.add_scatter(
        name="base and output",
        x=list(ends),
        y=[0, last],
        mode="markers+text",
        marker={"color": NEUTRAL, "size": 11, "symbol": "circle"},
        text=[f" {minus(end)}{_as_score(end, attributions.spec.link)} " for end in ends],
        textposition=["middle left" if end > middle else "middle right" for end in ends],
        cliponaxis=False,
        hovertemplate="%{text}<extra></extra>",
    )


def _add_threshold(figure: go.Figure, attributions: Attributions, middle: float) -> None:
    at = attributions.threshold
    if at is None:
        return
    figure.add_shape(
        type="line", name="threshold", x0=at, x1=at, yref="paper", y0=0, y1=1,
        line={"color": NEUTRAL, "width": 2, "dash": "dash"},
    )  # fmt: skip
    score = _as_score(at, attributions.spec.link)
    figure.add_annotation(
        x=at, y=-1.1, showarrow=False, xanchor="right" if at > middle else "left",
        xshift=-4 if at > middle else 4, text=f"threshold {minus(at)}{score}",
    )  # fmt: skip


def _add_scales(figure: go.Figure, attributions: Attributions, span: tuple[float, float]) -> None:
    logit = attributions.spec.link == "logit"
    figure.update_xaxes(
        title={"text": "log-odds (logit)" if logit else "the model's output, in its own unit"},
        range=list(span),
        gridcolor=GRID,
        zeroline=False,
        automargin=True,
    )
    if not logit:
        return
    ticks = probability_ticks(span)
    figure.add_scatter(
        x=[attributions.output], y=[0], xaxis="x2", opacity=0, hoverinfo="skip", name=""
    )
    figure.update_layout(
        xaxis2={
            "overlaying": "x",
            "matches": "x",
            "side": "top",
            "title": {"text": "score, a probability"},
            "range": list(span),
            "tickvals": [logit_of(p) for p in ticks],
            "ticktext": [f"{p:g}" for p in ticks],
            "showgrid": False,
            "zeroline": False,
            "automargin": True,
        }
    )


def probability_ticks(span: tuple[float, float]) -> tuple[float, ...]:
    """Round probabilities within a span of logits, none closer than a twelfth of it, one half first.

    >>> probability_ticks((-3.0, 3.0))
    (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
    """
    low, high = span
    chosen: list[float] = []
    for small in reversed(_PROBABILITIES):
        for p in dict.fromkeys((small, round(1 - small, 6))):
            at = logit_of(p)
            free = all(abs(at - logit_of(other)) >= (high - low) / 12 for other in chosen)
            if low <= at <= high and free:
                chosen.append(p)
    return tuple(sorted(chosen))


def logit_of(p: float) -> float:
    """The log-odds of a probability strictly between 0 and 1."""
    return math.log(p / (1 - p))


def _as_score(at: float, link: str) -> str:
    if link != "logit":
        return ""
    return f" (score {figures(1 / (1 + math.exp(-at)) if at > -700 else 0.0)})"


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{minus(value)}"


def minus(value: float) -> str:
    """Three figures with a real minus."""
    return figures(value).replace("-", "−")
