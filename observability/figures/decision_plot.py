"""How decisions came about: from the base at the bottom, input by input, to each one's output on top."""

from __future__ import annotations

import html

import numpy as np
import plotly.graph_objects as go

from observability.explain.drawn import Drawn
from observability.explain.sentence import figures
from observability.figures.beeswarm import value_text
from observability.figures.waterfall import LOWERS, NEUTRAL, RAISES
from observability.models.link import on_link

MOST = 50
"""Lines that can still be told apart."""
TOP = 10
"""Inputs with a step of their own, the weightiest on top; the others share the first step."""


def decision_plot(found: Drawn, unit: str, top: int = TOP) -> go.Figure:
    """A line for each drawn decision; `unit` is that of phi.

    Coloured by the side of the threshold on which it ends, or of the base where there is no threshold.
    """
    ranked = list(found.ranked)
    alone = ranked if len(ranked) <= top + 1 else ranked[:top]
    rest = [number for number in ranked if number not in alone]
    steps = _steps(found, alone, rest)
    limit = on_link(found.of.threshold, found.of.link)
    base = float(steps[:, 0].mean()) if len(steps) else 0.0
    above = steps[:, -1] >= (base if limit is None else limit)
    said = _said(found, alone, rest)
    figure = go.Figure()
    side = "the base" if limit is None else "the threshold"
    for name, rows, colour in (
        (f"ends above {side}", np.flatnonzero(above), RAISES),
        (f"ends below {side}", np.flatnonzero(~above), LOWERS),
    ):
        if len(rows):
            lines = [said[row] for row in rows]
            _add_lines(figure, f"{name}, n = {len(rows)}", steps[rows], lines, colour)
    _add_limit(figure, "base", base, "dot")
    if limit is not None:
        _add_limit(figure, f"threshold {figures(limit)}", limit, "solid")
    labels = ["base", *([f"{len(rest)} others"] if rest else [])]
    labels += [found.of.inputs[number].name for number in reversed(alone)]
    figure.update_layout(
        height=166 + 27 * len(labels),
        margin={"l": 0, "r": 0, "t": 46, "b": 84},
        dragmode=False,
        hovermode="closest",
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": -58 / (36 + 27 * len(labels)), "yanchor": "top"},
    )
    figure.update_xaxes(
        title={"text": html.escape(f"output, {unit}")}, range=_span(steps, [base, limit]),
        automargin=True, zeroline=False, fixedrange=True,
    )  # fmt: skip
    figure.update_yaxes(
        tickvals=list(range(len(labels))), ticktext=[html.escape(label) for label in labels],
        range=[-0.3, len(labels) - 0.7], automargin=True, zeroline=False, fixedrange=True,
    )  # fmt: skip
    return figure


def _steps(found: Drawn, alone: list[int], rest: list[int]) -> np.ndarray:
    """Where each decision stands after each step `(n, n_steps + 1)`, from its base to its output."""
    parts = [found.phi[:, [number]] for number in reversed(alone)]
    if rest:
        parts.insert(0, found.phi[:, rest].sum(axis=1, keepdims=True))
    base = found.decisions["base"].to_numpy().reshape(-1, 1)
    return np.cumsum(np.hstack([base, *parts]), axis=1)


def _span(steps: np.ndarray, limits: list[float | None]) -> tuple[float, float]:
    """The range of the axis, with room at both ends."""
    every = np.append(steps, [limit for limit in limits if limit is not None])
    room = 0.05 * (every.max() - every.min()) or 0.5
    return float(every.min() - room), float(every.max() + room)


def _said(found: Drawn, alone: list[int], rest: list[int]) -> list[list[str]]:
    """What each point of each line says when pointed at."""
    rows = []
    for place, one in enumerate(found.decisions.iter_rows(named=True)):
        who = f"{html.escape(one['device_id'])}<br>{one['decided_at']:%Y-%m-%d %H:%M:%S} UTC"
        shared = [f"{len(rest)} others"] if rest else []
        own = [value_text(found.of.inputs[n], found.values[place, n]) for n in reversed(alone)]
        rows.append([f"{who}<br>{text}" for text in ("base", *shared, *own)])
    return rows


def _add_lines(
    figure: go.Figure, name: str, steps: np.ndarray, said: list[list[str]], colour: str
) -> None:
    x: list[float | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for line, words in zip(steps, said, strict=True):
        x += [*line.tolist(), None]
        y += [*range(len(line)), None]
        text += [*words, ""]
    figure.add_scatter(
        name=name, x=x, y=y, mode="lines", text=text, opacity=0.7,
        line={"color": colour, "width": 1.4},
        hovertemplate="%{text}<br>output so far %{x:.3g}<extra></extra>",
    )  # fmt: skip


def _add_limit(figure: go.Figure, text: str, at: float, dash: str) -> None:
    figure.add_shape(
        type="line", name=text, x0=at, x1=at, yref="paper", y0=0, y1=1,
        line={"color": NEUTRAL, "width": 1.5, "dash": dash},
    )  # fmt: skip
    up = 18 if dash == "solid" else 2
    figure.add_annotation(
        x=at, yref="paper", y=1, yanchor="bottom", yshift=up, showarrow=False, text=text
    )
