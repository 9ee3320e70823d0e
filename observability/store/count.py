"""Counts rows into a cube: one pass over all inputs, with bins that are given.

Owns what of a value is counted where: in its bin, beyond the baseline's range, or as not finite.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import duckdb
import numpy as np
import polars as pl

from observability.store.cube import ABOVE, BELOW, NOT_FINITE, Cube
from observability.store.read import frame
from observability.store.read_drift import Bins, Rows


def count(
    con: duckdb.DuckDBPyConnection, rows: Rows, bins: Sequence[Bins], width: timedelta
) -> Cube:
    """Count rows by bin, for each bucket of `width`, device, model version and day of receipt."""
    cuts = [of.cuts(one_input) for one_input, of in zip(rows.inputs, bins, strict=True)]
    measures = "".join(_measures(n, cuts[n], bins[n].middle) for n in range(len(bins)))
    finite = "".join(f", CASE WHEN isfinite(x{n}) THEN x{n} END AS y{n}" for n in range(len(bins)))
    found = frame(
        con,
        "SELECT time_bucket(to_seconds($width_s), decided_at) AS at, device_id, model, received_at,"
        f" count(*) AS decisions{measures} FROM (SELECT *{finite} FROM ({rows.query}))"
        " GROUP BY ALL ORDER BY ALL",
        {**rows.parameters, "width_s": width.total_seconds()},
    )
    counts = np.zeros((found.height, len(bins), max((of.size for of in bins), default=0)), np.int64)
    apart = np.zeros((found.height, len(bins), 3), np.int64)
    for n, of in enumerate(bins):
        flat = found[f"h{n}"].explode().to_numpy().astype(np.int64)
        raw = flat.reshape(found.height, len(cuts[n]) + 1)
        places = np.clip(np.arange(raw.shape[1]) - (len(cuts[n]) > of.size), 0, of.size - 1)
        for place, column in zip(places, raw.T, strict=True):
            counts[:, n, place] += column
        if len(cuts[n]) > of.size:  # the ends of the range were cut off
            apart[:, n, BELOW], apart[:, n, ABOVE] = raw[:, 0], raw[:, -1]
        apart[:, n, NOT_FINITE] = found[f"g{n}"].to_numpy() - raw.sum(axis=1)
    return Cube(
        found.select("at", "device_id", "model", "received_at", "decisions"),
        counts,
        apart=apart,
        **{name: _columns(found, name, len(bins)) for name in ("sums", "squares", "lows", "highs")},
    )


def _measures(n: int, cuts: Sequence[float], middle: float) -> str:
    """What is counted of one input.

    DuckDB's histogram puts NaN into the first bin, omits an empty last one, and gives NULL for no value.
    """
    size, edges, centre = len(cuts) + 1, ", ".join(map(_literal, cuts)), _literal(middle)
    return (
        f", coalesce(list_resize(map_values(histogram(y{n}, [{edges}])), {size}, 0),"
        f" list_resize([]::UBIGINT[], {size}, 0)) AS h{n}, count(x{n}) AS g{n},"
        f" coalesce(sum(y{n}), 0.0) AS sums{n},"
        f" coalesce(sum((y{n} - {centre}) * (y{n} - {centre})), 0.0) AS squares{n},"
        f" coalesce(min(y{n}), 'nan'::DOUBLE) AS lows{n},"
        f" coalesce(max(y{n}), 'nan'::DOUBLE) AS highs{n}"
    )


def _columns(found: pl.DataFrame, name: str, inputs: int) -> np.ndarray:
    """A measure of all inputs, shape `(n_rows, n_inputs)`."""
    columns = [found[f"{name}{n}"].to_numpy() for n in range(inputs)]
    return np.stack(columns, axis=1) if columns else np.zeros((found.height, 0))


def _literal(number: float) -> str:
    """A DOUBLE to the last bit; without an exponent it would be a DECIMAL first."""
    text = repr(number)
    return text if "e" in text else f"{text}e0"
