"""How many proposals went on: from what a model recommended to what is known of it."""

from __future__ import annotations

import plotly.graph_objects as go

from observability.figures.palette import LIGHT, Palette
from observability.monitor.scorecard import Funnel


def funnel(shown: Funnel, palette: Palette = LIGHT) -> go.Figure:
    """A bar for each step with its count, and its share of what was recommended."""
    steps = (
        ("recommended", shown.recommended, palette.unknown),
        ("passed every rule", shown.passed_rules, palette.unknown),
        ("carried out", shown.actuated, palette.executed),
        ("outcome known", shown.labelled, palette.unknown),
    )
    whole = shown.recommended
    figure = go.Figure()
    figure.add_bar(
        orientation="h",
        y=[name for name, _, _ in steps],
        x=[count for _, count, _ in steps],
        marker={"color": [colour for _, _, colour in steps], "line": {"width": 0}},
        text=[f" {count:,} ({count / whole:.0%})" if whole else " 0" for _, count, _ in steps],
        textposition="outside",
        cliponaxis=False,
        hovertemplate=f"%{{x:,}} of {whole:,} %{{y}}<extra></extra>",
        showlegend=False,
    )
    figure.update_layout(
        height=178, margin={"l": 0, "r": 0, "t": 4, "b": 0}, bargap=0.28, dragmode=False
    )
    figure.update_xaxes(visible=False, range=[0, 1.3 * max(whole, 1)], fixedrange=True)
    figure.update_yaxes(autorange="reversed", automargin=True, fixedrange=True, showgrid=False)
    return figure
