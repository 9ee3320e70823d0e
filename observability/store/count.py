"""Counts rows into a cube: one pass over all inputs, with bins that are given.

Owns what of a value is counted where: in its bin, beyond the baseline's range, or as not finite.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa

from observability.store.cube import ABOVE, BELOW, NOT_FINITE, Cube, summed
from observability.store.read_drift import Bins, Rows

BATCH_ROWS = 200_000
"""What is in memory at once."""
_KEYS = ["at", "device_id", "model", "received_at"]


def count(
    con: duckdb.DuckDBPyConnection, rows: Rows, bins: Sequence[Bins], width: timedelta
) -> Cube:
    """Count rows by bin, for each bucket of `width`, device, model version and day of receipt."""
    columns = "".join(f", x{n}" for n in range(len(bins)))
    reader = con.execute(
        "SELECT time_bucket(to_seconds($width_s), decided_at) AS at, device_id, model, received_at"
        f"{columns} FROM ({rows.query})",
        {**rows.parameters, "width_s": width.total_seconds()},
    ).to_arrow_reader(BATCH_ROWS)
    cuts = [np.array(of.cuts(one_input)) for one_input, of in zip(rows.inputs, bins, strict=True)]
    whole = _counted(reader.schema.empty_table(), bins, cuts)
    for batch in reader:
        part = _counted(pa.Table.from_batches([batch]), bins, cuts)
        whole = summed([whole, part]) if whole.cells.height else part
    return whole


def _counted(rows: pa.Table, bins: Sequence[Bins], cuts: Sequence[np.ndarray]) -> Cube:
    """The cube of these rows, its cells in order."""
    keys = pl.DataFrame(rows.select(_KEYS)).with_row_index("row")
    cells = keys.group_by(_KEYS).agg(pl.len().cast(pl.Int64).alias("decisions"), "row").sort(_KEYS)
    decisions = cells["decisions"].to_numpy()
    order = cells["row"].explode().to_numpy().astype(np.int64)
    first, cell = decisions.cumsum() - decisions, np.repeat(np.arange(len(decisions)), decisions)
    n_cells, n_inputs = len(decisions), len(bins)
    counts = np.zeros((n_cells, n_inputs, max((of.size for of in bins), default=0)), np.int64)
    apart = np.zeros((n_cells, n_inputs, 3), np.int64)
    measures = {
        name: np.zeros((n_cells, n_inputs)) for name in ("sums", "squares", "lows", "highs")
    }
    for n, of in enumerate(bins):
        recorded = rows[f"x{n}"].is_valid().to_numpy()[order]
        values = rows[f"x{n}"].cast(pa.float64()).to_numpy()[order]
        finite = np.isfinite(values)
        raw = _binned(values[finite], cell[finite], n_cells, cuts[n])
        places = np.clip(np.arange(raw.shape[1]) - (len(cuts[n]) > of.size), 0, of.size - 1)
        for place, column in zip(places, raw.T, strict=True):
            counts[:, n, place] += column
        if len(cuts[n]) > of.size:  # the ends of the range were cut off
            apart[:, n, BELOW], apart[:, n, ABOVE] = raw[:, 0], raw[:, -1]
        apart[:, n, NOT_FINITE] = np.bincount(cell[recorded & ~finite], minlength=n_cells)
        for name, measured in _measured(values, finite, first, of.middle).items():
            measures[name][:, n] = measured
    return Cube(cells.drop("row"), counts, apart=apart, **measures)


def _binned(values: np.ndarray, cell: np.ndarray, n_cells: int, cuts: np.ndarray) -> np.ndarray:
    """How many values of each cell lie in (-inf, c1], (c1, c2], ..., (ck, inf); `(n_cells, n_cuts + 1)`."""
    size = len(cuts) + 1
    places = cell * size + np.searchsorted(cuts, values)
    return np.bincount(places, minlength=n_cells * size).reshape(n_cells, size)


def _measured(
    values: np.ndarray, finite: np.ndarray, first: np.ndarray, middle: float
) -> dict[str, np.ndarray]:
    """Of the finite values of each cell, which begins at `first`."""
    known = values if finite.all() else np.where(finite, values, np.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        return {
            "sums": np.add.reduceat(np.where(finite, values, 0.0), first),
            "squares": np.add.reduceat(np.where(finite, (values - middle) ** 2, 0.0), first),
            "lows": np.fmin.reduceat(known, first),
            "highs": np.fmax.reduceat(known, first),
        }
