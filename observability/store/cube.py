"""A cube: how often each input lay in which bin, by time, device and model version.

Owns what adding two cubes means: counts and sums add, the lowest and the highest value of both remain.
So any split of the same decisions, in any order, adds up to the same cube.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta

import numpy as np
import polars as pl
import pyarrow as pa

APART = timedelta(days=400)
"""Nobody decides after so long a silence again: what lies further from all else had a wrong clock."""
BELOW, ABOVE, NOT_FINITE = range(3)
"""Places of the last axis of `Cube.apart`."""
_ADD = {"lows": np.fmin, "highs": np.fmax}
_LISTS = ("sums", "squares", "lows", "highs")


@dataclass(frozen=True, slots=True, eq=False)
class Cube:
    """Counts; one row of `cells` (at, device_id, model, decisions) for each first index.

    `counts` has the shape `(n_cells, n_inputs, n_bins)`, with bins that an input lacks left 0. Of the
    recorded, finite values, `(n_cells, n_inputs)`: their `sums`; `squares`, the sum of their squared
    distances from the middle of the baseline's range; the lowest and highest, NaN where there is none.
    `apart`, `(n_cells, n_inputs, 3)`, counts values below and above the baseline's range, which are in
    the first and last bin too, and those that are NaN or infinite, which are in none. A decision that
    has no such value either lacks the input: it is missing. `at` is the start of a bucket, UTC.
    `received_at`, where the cells have it, is the day of receipt.
    """

    cells: pl.DataFrame
    counts: np.ndarray
    sums: np.ndarray
    squares: np.ndarray
    lows: np.ndarray
    highs: np.ndarray
    apart: np.ndarray

    def only(self, places: np.ndarray) -> Cube:
        """The cells at these places, in this order."""
        return Cube(self.cells[places], **{name: getattr(self, name)[places] for name in _ARRAYS})


_ARRAYS = tuple(field.name for field in fields(Cube))[1:]


def summed(cubes: Sequence[Cube]) -> Cube:
    """The sum of cubes of the same bins, one or more: a cell for each that they have, in order."""
    cells = pl.concat([cube.cells for cube in cubes])
    key = [name for name in cells.columns if name != "decisions"]
    ordered = cells.with_row_index("place").sort(key)
    place = ordered["place"].to_numpy()
    differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift()) for name in key)
    new = ordered.select(differs | (pl.int_range(pl.len()) == 0)).to_series()
    first = np.flatnonzero(new.to_numpy())
    is_sum = len(first) == len(place)
    arrays = {}
    for name in _ARRAYS:
        parts = [getattr(cube, name) for cube in cubes]
        whole = (parts[0] if len(parts) == 1 else np.concatenate(parts))[place]
        with np.errstate(over="ignore", invalid="ignore"):
            add = _ADD.get(name, np.add)
            arrays[name] = whole if is_sum else add.reduceat(whole, first, axis=0)
    if is_sum:
        return Cube(ordered.select(*key, "decisions"), **arrays)
    decisions = np.add.reduceat(ordered["decisions"].to_numpy(), first)
    kept = ordered.select(key)[first].with_columns(decisions=pl.Series(decisions))
    return Cube(kept, **arrays)


def of_one_time(cube: Cube) -> Cube:
    """The cells of the time, without a gap of more than a year, in which most was decided."""
    at = cube.cells["at"].sort()
    begins = at.filter((at.diff() > APART).fill_null(True))
    if len(begins) < 2:
        return cube
    time = begins.search_sorted(cube.cells["at"], side="right").to_numpy()
    most = np.bincount(time, cube.cells["decisions"].to_numpy()).argmax()
    return cube.only(np.flatnonzero(time == most))


def in_buckets(cube: Cube, width: timedelta) -> Cube:
    """The same cube in buckets of whole days: `width` is a day or more, the cube's own a part of one."""
    start = pl.col("at").dt.truncate(width)
    return summed([replace(cube, cells=cube.cells.with_columns(at=start))])


def as_lists(cube: Cube, sizes: Sequence[int]) -> dict[str, pa.Array]:
    """The arrays as columns of lists; `sizes` tells how many bins each input has.

    `counts` has, input by input, the bins and then what is apart.
    """
    parts = [
        part
        for n, size in enumerate(sizes)
        for part in (cube.counts[:, n, :size], cube.apart[:, n])
    ]
    flat = np.concatenate(parts, axis=1) if parts else np.zeros((cube.cells.height, 0))
    return {
        "counts": _lists(flat.astype(np.uint32)),
        **{name: _lists(getattr(cube, name)) for name in _LISTS},
    }


def from_lists(rows: pa.Table, sizes: Sequence[int]) -> Cube:
    """The inverse: a cube of rows that have those columns beside those of its cells."""
    flat = _matrix(rows, "counts", sum(sizes) + 3 * len(sizes))
    counts = np.zeros((rows.num_rows, len(sizes), max(sizes, default=0)), np.int64)
    apart = np.zeros((rows.num_rows, len(sizes), 3), np.int64)
    start = 0
    for n, size in enumerate(sizes):
        counts[:, n, :size] = flat[:, start : start + size]
        apart[:, n] = flat[:, start + size : start + size + 3]
        start += size + 3
    lists = {name: _matrix(rows, name, len(sizes)) for name in _LISTS}
    cells = pl.DataFrame(rows.drop_columns(["counts", *_LISTS]))
    return Cube(cells, counts, apart=apart, **lists)


def _lists(matrix: np.ndarray) -> pa.Array:
    rows, width = matrix.shape
    ends = pa.array(np.arange(rows + 1) * width, pa.int32())
    return pa.ListArray.from_arrays(ends, pa.array(np.ascontiguousarray(matrix).ravel()))


def _matrix(rows: pa.Table, name: str, width: int) -> np.ndarray:
    values = rows[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return values.reshape(rows.num_rows, width)
