"""Explained decisions drawn from many, each as likely as its weight: what is drawn looks like them all."""

from __future__ import annotations

from dataclasses import dataclass, replace

import duckdb
import numpy as np
import polars as pl

from observability.store import read_attributions
from observability.store.read import Window
from observability.store.read_decisions import Filters
from observability.store.read_drift import Input
from observability.store.read_explained import Explained

MOST = 2_000
"""Decisions drawn for figures of single decisions."""


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """`n` of `selected` explained decisions, in the order in which they were drawn.

    `decisions`: device_id, decision_id, decided_at, base, output. `phi` and `values` are
    `(n, n_inputs)` in the order of `of.inputs`; a level's value is its index, NaN is missing or a level
    that the model does not know.
    """

    of: Explained
    selected: int
    decisions: pl.DataFrame
    phi: np.ndarray
    values: np.ndarray

    def first(self, at_most: int) -> Drawn:
        """The first of them, which are as fair a sample."""
        return replace(
            self,
            decisions=self.decisions.head(at_most),
            phi=self.phi[:at_most],
            values=self.values[:at_most],
        )

    @property
    def ranked(self) -> tuple[int, ...]:
        """The indices of the inputs, the largest mean |phi| of those drawn first."""
        return tuple(np.argsort(-np.abs(self.phi).sum(axis=0), kind="stable").tolist())

    @property
    def missing(self) -> np.ndarray:
        """How many of those drawn lack each input `(n_inputs,)`."""
        return np.isnan(self.values).sum(axis=0)

    def ranks(self, number: int) -> np.ndarray:
        """Where each decision's value of an input lies among those drawn, 0 to 1; ties share a place."""
        found = pl.Series(self.values[:, number]).fill_nan(None).rank("average").to_numpy()
        most = np.count_nonzero(~np.isnan(found))
        return (found - 1) / (most - 1) if most > 1 else found * 0 + 0.5


def drawn(
    con: duckdb.DuckDBPyConnection,
    of: Explained,
    window: Window,
    selection: Filters | None = None,
    at_most: int = MOST,
) -> Drawn:
    """Decisions of a selection, of all where there is none; the same ones each time."""
    selected, rows = read_attributions.drawn(con, of, window, selection or Filters(), at_most)
    size = len(of.inputs)
    columns = [_numbers(rows[f"x{n}"], found) for n, found in enumerate(of.inputs)]
    return Drawn(
        of=of,
        selected=selected,
        decisions=rows.select("device_id", "decision_id", "decided_at", "base", "output"),
        phi=np.array(rows["phi"].to_list(), np.float64).reshape(-1, size),
        values=np.stack(columns, axis=1),
    )


def _numbers(recorded: pl.Series, of: Input) -> np.ndarray:
    if of.levels:
        places = {level: float(place) for place, level in enumerate(of.levels)}
        return np.array([places.get(level, np.nan) for level in recorded], np.float64)
    return recorded.cast(pl.Float64).fill_null(np.nan).to_numpy()
