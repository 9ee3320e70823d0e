"""The baseline of a decision type: what its inputs were like when they counted as usual.

The reference of the type's model where one is registered, else the store's own first weeks. Owns that
bins are cut here and nowhere else; those of a reference are cut once and kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl

from observability.models.registry import RegisteredModel, registered
from observability.store import read_drift
from observability.store.count import count
from observability.store.cube import Cube
from observability.store.location import Store
from observability.store.read import Window
from observability.store.read_cubes import FrozenBins, bins_id, frozen
from observability.store.read_drift import Bins, DecidedType, Input, Rows
from traces.errors import ModelError

FIRST_DAYS = timedelta(days=28)
"""How much of the store serves where no reference is registered; half of it where it is shorter."""
DAY = timedelta(days=1)
MOST_LEVELS = 100
"""Levels of a categorical that have a bin of their own; others share one."""


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """Inputs, their bins, and their counts in buckets of `width` by device; times UTC.

    `rows` reads them one by one. `model` is name and version of the model whose reference this is;
    None: the store's first days. `bins_id` names the bins of a reference: the store may have decisions
    counted in them.
    """

    inputs: tuple[Input, ...]
    bins: tuple[Bins, ...]
    cube: Cube
    width: timedelta
    first_at: datetime | None
    last_at: datetime | None
    model: str | None
    rows: Rows
    bins_id: str | None = None

    @property
    def decisions(self) -> int:
        """How many it rests on."""
        return int(self.cube.cells["decisions"].sum())


def reference_of(
    con: duckdb.DuckDBPyConnection, store: Store, decided: DecidedType, model: str | None = None
) -> RegisteredModel | None:
    """The registered model whose reference is the baseline; None where there is none.

    That of `model` (name and version) where it has one, else that of the latest registration.
    """
    known = [found for found in registered(con, store) if found.version in decided.models]
    usable = [found for found in known if found.reference_path is not None]
    usable.sort(key=lambda f: (f"{f.version.name} {f.version.version}" == model, f.registered_at))
    return usable[-1] if usable else None


def reference_bins(con: duckdb.DuckDBPyConnection, model: RegisteredModel) -> FrozenBins:
    """The bins of a registered reference: those that the store keeps, else cut now, which gives the same.

    Raises ModelError where none is registered.
    """
    return _bins_and_rows(con, model)[0]


def from_reference(
    con: duckdb.DuckDBPyConnection, model: RegisteredModel, width: timedelta = DAY
) -> Baseline:
    """The baseline that a registered reference is; the same for all time.

    Raises ModelError where none is registered.
    """
    kept, rows = _bins_and_rows(con, model)
    cube = count(con, rows, kept.bins, width)
    name = f"{model.version.name} {model.version.version}"
    known = model.reference
    first, last = (known.first_at, known.last_at) if known else (None, None)
    return Baseline(rows.inputs, kept.bins, cube, width, first, last, name, rows, kept.bins_id)


def usual_of(
    con: duckdb.DuckDBPyConnection, store: Store, decided: DecidedType, width: timedelta = DAY
) -> Baseline:
    """The baseline of a decision type: its model's reference, else the store's own first days."""
    model = reference_of(con, store, decided)
    if model is not None:
        return from_reference(con, model, width)
    return from_first_days(con, decided.decision_type, first_days(decided), width)


def first_days(decided: DecidedType) -> Window:
    """The store's own first 28 days of a type, or the first half of fewer, in whole days if it can be."""
    length = min(FIRST_DAYS, (decided.last_at - decided.first_at) / 2)
    whole = length // DAY * DAY
    return Window(decided.first_at, decided.first_at + (whole or length))


def from_first_days(
    con: duckdb.DuckDBPyConnection, decision_type: str, window: Window, width: timedelta = DAY
) -> Baseline:
    """The baseline that the store's own decisions of a window are, where there is no reference."""
    inputs = read_drift.recorded_inputs(con, decision_type, window)
    rows = read_drift.of_decisions(con, decision_type, inputs, window)
    bins = read_drift.equal_count_bins(con, rows)
    cube = count(con, rows, bins, width)
    return Baseline(inputs, bins, cube, width, window.start, window.end, None, rows)


def _bins_and_rows(
    con: duckdb.DuckDBPyConnection, model: RegisteredModel
) -> tuple[FrozenBins, Rows]:
    reference, path = model.reference, model.reference_path
    if reference is None or path is None:
        raise ModelError(
            f"no reference of {model.version.name} {model.version.version}", "a registered one"
        )
    inputs = tuple(Input(f.name, f.unit, f.levels) for f in model.features)
    inputs = tuple(replace(of, levels=_common_levels(path, of)) for of in inputs)
    rows = read_drift.of_reference(
        path, inputs, devices=reference.device_count > 0, times=reference.first_at is not None
    )
    name = bins_id(reference.reference_id, inputs)
    bins = frozen(con, name) or read_drift.equal_count_bins(con, rows)
    return FrozenBins(name, reference.reference_id, inputs, bins), rows


def _common_levels(path: Path, of: Input) -> tuple[str, ...]:
    """The levels that are counted, in the input's order: of too many, the most common of the reference."""
    if len(of.levels) <= MOST_LEVELS:
        return of.levels
    recorded = pl.scan_parquet(path).select(level=pl.col(of.name).cast(pl.String))
    known = recorded.filter(pl.col("level").is_in(of.levels)).group_by("level").len()
    common = known.sort("len", "level", descending=[True, False]).head(MOST_LEVELS).collect()
    kept = set(common["level"]) or set(of.levels[:MOST_LEVELS])
    return tuple(level for level in of.levels if level in kept)
