"""What figures of horizontal bars share: clear ground, no legend, a named row for each bar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

GRID = "rgba(127,127,127,0.25)"
_CLEAR = "rgba(0,0,0,0)"


def frame_rows(figure: go.Figure, labels: Sequence[str], height: int, **rows: Any) -> None:
    """Lay out a figure whose rows are `labels`, from 0 on; `rows` are further settings of that axis.

    The ground is transparent and texts take the theme's colour, so it is at home in light and dark.
    """
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        paper_bgcolor=_CLEAR,
        plot_bgcolor=_CLEAR,
        showlegend=False,
        dragmode=False,
        bargap=0.3,
    )
    figure.update_yaxes(
        tickvals=list(range(len(labels))),
        ticktext=labels,
        showgrid=False,
        zeroline=False,
        automargin=True,
        fixedrange=True,
        **rows,
    )
