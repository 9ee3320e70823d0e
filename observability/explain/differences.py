"""What is different about some decisions: their inputs, and what these pushed, beside all the others.

Owns the measure: the difference of means in standard deviations, so that inputs of any unit compare.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import duckdb
import polars as pl

from observability.store import read_attributions
from observability.store.read import Window
from observability.store.read_decisions import Filters
from observability.store.read_explained import Explained, columns

FEWEST = 30
"""Fewer decisions on one side leave means uncertain."""
_CANCELLED = 1e-14
"""A variance that is this part of the mean square is what rounding left of none."""
_ROUNDED = 1e-12
"""Means that differ by this part of themselves are the same."""


@dataclass(frozen=True, slots=True)
class Beside:
    """The mean of a selection beside that of the others; NaN where one of them has no value.

    `standardised` is (mean - others) / sqrt((variance + others' variance) / 2); infinite where both are
    constant and differ.
    """

    mean: float
    others: float
    standardised: float


@dataclass(frozen=True, slots=True)
class Difference:
    """One input: what it pushed (`phi`, the link's unit) and what was recorded of it (`value`).

    Of a categorical, `value` is the share of the `level` that differs most, else `level` is None.
    """

    name: str
    unit: str
    level: str | None
    phi: Beside
    value: Beside

    @property
    def weight(self) -> float:
        """The larger of both differences, without sign."""
        both = (abs(self.phi.standardised), abs(self.value.standardised))
        return max((one for one in both if not math.isnan(one)), default=0.0)


@dataclass(frozen=True, slots=True)
class Differences:
    """The inputs by how far a selection lies from the others, the farthest first.

    Parts are of `selected` and `others` explained decisions, values of all `decided` of the model.
    """

    of: Explained
    selected: int
    others: int
    decided_selected: int
    decided_others: int
    ranked: tuple[Difference, ...]


def differences(
    con: duckdb.DuckDBPyConnection, of: Explained, window: Window, selection: Filters
) -> Differences:
    """A selection beside all other decisions of the same type, model and time."""
    parts = _sides(read_attributions.parts_compared(con, of, window, selection))
    recorded = _sides(read_attributions.inputs_compared(con, of, window, selection))
    values = [
        (number, level, _values(recorded, place))
        for place, (number, level) in enumerate(columns(of))
    ]
    found = []
    for number, one in enumerate(of.inputs):
        own = [(level, beside) for of_input, level, beside in values if of_input == number]
        level, value = max(own, key=lambda pair: _size(pair[1]))
        found.append(Difference(one.name, one.unit, level, _parts(parts, number), value))
    selected, others = (int(side.get("attributions", 0)) for side in parts)
    return Differences(
        of=of,
        selected=selected,
        others=others,
        decided_selected=int(recorded[0].get("decisions", 0)),
        decided_others=int(recorded[1].get("decisions", 0)),
        ranked=tuple(sorted(found, key=lambda one: -one.weight)),
    )


_Side = Mapping[str, float]


def _sides(rows: pl.DataFrame) -> tuple[_Side, _Side]:
    """The row of the selection and that of the others; empty where there are none."""
    found = {row.pop("selected"): row for row in rows.fill_null(math.nan).to_dicts()}
    return found.get(True, {}), found.get(False, {})


def _parts(sides: tuple[_Side, _Side], number: int) -> Beside:
    moments = []
    for side in sides:
        weight = side.get("weight", math.nan)
        mean, square = (side.get(f"{sums}{number}", math.nan) / weight for sums in "sq")
        variance = square - mean**2
        moments += [mean, 0.0 if variance <= _CANCELLED * square else variance]
    return _beside(*moments)


def _values(sides: tuple[_Side, _Side], place: int) -> Beside:
    return _beside(*(side.get(f"{name}{place}", math.nan) for side in sides for name in "mv"))


def _beside(mean: float, variance: float, others: float, others_variance: float) -> Beside:
    """The standardised difference of two sides.

    >>> _beside(3.0, 1.0, 1.0, 1.0).standardised, _beside(2.0, 0.0, 1.0, 0.0).standardised
    (2.0, inf)
    """
    spread = math.sqrt((variance + others_variance) / 2)
    by = mean - others
    if abs(by) <= _ROUNDED * max(abs(mean), abs(others)):
        by = 0.0
    if spread == 0:
        return Beside(mean, others, math.copysign(math.inf, by) if by else 0.0)
    return Beside(mean, others, by / spread)


def _size(one: Beside) -> float:
    return -1.0 if math.isnan(one.standardised) else abs(one.standardised)
