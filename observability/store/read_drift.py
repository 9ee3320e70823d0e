"""The inputs of a decision type, their bins, and the rows that are counted in them.

Owns how rows, of the store or of a reference file, become numbers that can be counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from observability.store.read import Window, frame, one
from observability.store.read_rollups import model_versions, rollup
from traces import ModelVersion

BINS = 10
"""Bins of a number, equal in count over the baseline, where its values allow that many."""
MOST_INPUTS = 100
"""Inputs of a type without a reference that are counted; devices may send any number of them."""
LEVELS = 30
"""Levels of a categorical that have a bin of their own where no model names them."""
_DECILES = [number / BINS for number in range(1, BINS)]

_FIRST_AT = pl.coalesce(pl.col("believed_first_at").min(), pl.col("first_at").min())
_LAST_AT = pl.coalesce(pl.col("believed_last_at").max(), pl.col("last_at").max())
_LAYOUTS = """
SELECT layout_id, names, categorical_names FROM layouts WHERE decision_type = $type
ORDER BY received_at, layout_id
"""


@dataclass(frozen=True, slots=True)
class DecidedType:
    """A decision type, from when to when it was decided, UTC, and the model versions that decided it.

    A device whose clock is far from the time of receipt does not stretch that time.
    """

    decision_type: str
    decisions: int
    devices: int
    first_at: datetime
    last_at: datetime
    models: tuple[ModelVersion, ...]

    def within(self, window: Window) -> timedelta:
        """How much of the type's time lies in a window; none where they do not meet."""
        first = max(self.first_at, window.start or self.first_at)
        last = min(self.last_at, window.end or self.last_at)
        return max(last - first, timedelta())


@dataclass(frozen=True, slots=True)
class Input:
    """One input; a categorical has `levels`."""

    name: str
    unit: str = ""
    levels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rows:
    """A query that gives device_id, decided_at, model, the day of receipt and a number for each input.

    The numbers are x0, x1, ...; the day is `received_at`, its midnight UTC.
    A level is its place among the input's levels, from 1; one that is not among them comes after
    the last. Missing is NULL or an empty text; what is not finite is not counted in a bin.
    """

    query: str
    parameters: Mapping[str, Any]
    inputs: tuple[Input, ...]


@dataclass(frozen=True, slots=True)
class Bins:
    """The bins of one input: (-inf, e1], (e1, e2], ..., (ek, inf). None where it never varied.

    `low` and `high` are the least and the largest value; NaN where it was never recorded.
    """

    edges: tuple[float, ...]
    low: float
    high: float

    @property
    def constant(self) -> bool:
        """Whether there is nothing to cut: one value, or none."""
        return not self.edges

    @property
    def size(self) -> int:
        """How many bins there are."""
        return len(self.edges) + 1

    @property
    def middle(self) -> float:
        """Of the range; 0 where it was never recorded."""
        return 0.0 if math.isnan(self.low) else self.low / 2 + self.high / 2

    def cuts(self, of: Input) -> tuple[float, ...]:
        """The edges and, for a number that was recorded, the ends of its range around them."""
        if of.levels or math.isnan(self.low):
            return self.edges or (0.0,)
        return (math.nextafter(self.low, -math.inf), *self.edges, self.high)


def decided_types(con: duckdb.DuckDBPyConnection) -> tuple[DecidedType, ...]:
    """The decision types of a store."""
    return tuple(
        DecidedType(
            decision_type=str(decision_type),
            decisions=sum(rows["decisions"]),
            devices=rows["device_id"].n_unique(),
            first_at=first_at,
            last_at=last_at,
            models=model_versions(rows),
        )
        for (decision_type,), rows in sorted(rollup(con).group_by("decision_type"))
        for first_at, last_at in rows.select(_FIRST_AT, _LAST_AT).iter_rows()
    )


def recorded_inputs(
    con: duckdb.DuckDBPyConnection, decision_type: str, window: Window
) -> tuple[Input, ...]:
    """The inputs that decisions of a type recorded, numbers first; levels as seen in the window.

    At most `MOST_INPUTS`: those that were recorded first.
    """
    layouts = frame(con, _LAYOUTS, {"type": decision_type})
    numbers = list(dict.fromkeys(name for names in layouts["names"] for name in names))
    texts = list(dict.fromkeys(name for names in layouts["categorical_names"] for name in names))
    numbers, texts = numbers[:MOST_INPUTS], texts[: max(0, MOST_INPUTS - len(numbers))]
    return (
        *(Input(name) for name in numbers),
        *(Input(name, levels=_levels(con, layouts, decision_type, name, window)) for name in texts),
    )


def of_decisions(
    con: duckdb.DuckDBPyConnection,
    decision_type: str,
    inputs: Sequence[Input],
    window: Window,
    arrivals: range | None = None,
) -> Rows:
    """The rows of the store's decisions. An input that a layout lacks is missing in its rows.

    `arrivals` narrows to decisions that arrived in between (`decisions.arrival`).
    """
    found, ids = recorded_at(con, decision_type, inputs)
    where = ["decision_type = $type"]
    where += ["decided_at >= $start"] if window.start else []
    where += ["decided_at < $end"] if window.end else []
    given: dict[str, Any] = {k: at for k, at in window.parameters().items() if at is not None}
    if arrivals is not None:
        where += ["arrival >= $since", "arrival < $before"]
        given |= {"since": arrivals.start, "before": arrivals.stop}
    query = (
        "SELECT device_id, decided_at, model_name || ' ' || model_version AS model,"
        " date_trunc('day', received_at) AS received_at"
        f"{_numbered(found, inputs)} FROM decisions WHERE {' AND '.join(where)}"
    )
    return Rows(query, {"type": decision_type, **given, **ids, **_asked(inputs)}, tuple(inputs))


def recorded_at(
    con: duckdb.DuckDBPyConnection, decision_type: str, inputs: Sequence[Input]
) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """Where each input lies in a decision, as an expression over `decisions`, and its parameters.

    A number is a DOUBLE, a level its text; NULL where the decision's layout lacks the input.
    """
    layouts = frame(con, _LAYOUTS, {"type": decision_type})
    found = tuple(_place(layouts, one_input) for one_input in inputs)
    ids = {f"layout{n}": id_ for n, id_ in enumerate(layouts["layout_id"])} if inputs else {}
    return found, {name: id_ for name, id_ in ids.items() if any(f"${name} " in x for x in found)}


def of_reference(path: Path, inputs: Sequence[Input], *, devices: bool, times: bool) -> Rows:
    """The rows of a reference: a Parquet file with a column for each input, and others if it has them."""
    columns = [_identifier(one_input.name) for one_input in inputs]
    query = (
        f"SELECT {'device_id' if devices else 'NULL::VARCHAR'} AS device_id,"
        f" {'decided_at' if times else 'NULL::TIMESTAMPTZ'} AS decided_at, NULL::VARCHAR AS model,"
        f" NULL::TIMESTAMPTZ AS received_at{_numbered(columns, inputs)} FROM read_parquet($path)"
    )
    return Rows(query, {"path": str(path), **_asked(inputs)}, tuple(inputs))


def equal_count_bins(con: duckdb.DuckDBPyConnection, rows: Rows) -> tuple[Bins, ...]:
    """Bins of equal count for numbers, one for each level for categoricals."""
    asked = ", ".join(
        f"quantile_cont(x{n}, {_DECILES}) FILTER (isfinite(x{n})) AS q{n},"
        f" min(x{n}) FILTER (isfinite(x{n})) AS low{n}, max(x{n}) FILTER (isfinite(x{n})) AS high{n}"
        for n in range(len(rows.inputs))
    )
    if not asked:
        return ()
    found = one(con, f"SELECT {asked} FROM ({rows.query})", rows.parameters)
    return tuple(
        _bins(one_input, found[f"q{n}"], found[f"low{n}"], found[f"high{n}"])
        for n, one_input in enumerate(rows.inputs)
    )


def recorded(
    con: duckdb.DuckDBPyConnection, rows: Rows, devices: Sequence[str], inputs: Sequence[str]
) -> pl.DataFrame:
    """What some devices recorded in order of time: device_id, decided_at, each of these inputs by name."""
    names = [one_input.name for one_input in rows.inputs]
    columns = ", ".join(f"x{names.index(name)} AS {_identifier(name)}" for name in inputs)
    return frame(
        con,
        f"SELECT device_id, decided_at, {columns} FROM ({rows.query})"
        " WHERE list_contains($devices, device_id) ORDER BY device_id, decided_at",
        {**rows.parameters, "devices": list(devices)},
    )


def _levels(
    con: duckdb.DuckDBPyConnection,
    layouts: pl.DataFrame,
    decision_type: str,
    name: str,
    window: Window,
) -> tuple[str, ...]:
    rows = of_decisions(con, decision_type, (), window)
    ids = {f"layout{n}": id_ for n, id_ in enumerate(layouts["layout_id"])}
    place = _place(layouts, Input(name, levels=("",)))
    used = {key: id_ for key, id_ in ids.items() if f"${key} " in place}
    query = rows.query.replace(" FROM decisions", f", {place} AS level FROM decisions")
    found = frame(
        con,
        f"SELECT level, count(*) AS n FROM ({query}) WHERE level <> ''"
        f" GROUP BY level ORDER BY n DESC, level LIMIT {LEVELS}",
        {**rows.parameters, **used},
    )
    return tuple(sorted(found["level"])) or ("none",)


def _place(layouts: pl.DataFrame, wanted: Input) -> str:
    """Where an input lies in the arrays of a decision, by its layout."""
    array = "categoricals" if wanted.levels else "inputs"
    column = layouts["categorical_names" if wanted.levels else "names"].to_list()
    arms = [
        f" WHEN $layout{n} THEN {array}[{names.index(wanted.name) + 1}]"
        for n, names in enumerate(column)
        if wanted.name in names
    ]
    return f"CASE layout_id{''.join(arms)} END" if arms else "NULL"


def _numbered(expressions: Sequence[str], inputs: Sequence[Input]) -> str:
    """The inputs as columns x0, x1, ... of numbers."""
    return "".join(
        f", CASE WHEN {x} <> '' THEN coalesce(nullif(list_position($levels{n}, {x}::VARCHAR),"
        f" 0), {len(one_input.levels) + 1})::DOUBLE END AS x{n}"
        if one_input.levels
        else f", ({x})::DOUBLE AS x{n}"
        for n, (x, one_input) in enumerate(zip(expressions, inputs, strict=True))
    )


def _asked(inputs: Sequence[Input]) -> dict[str, list[str]]:
    return {f"levels{n}": list(found.levels) for n, found in enumerate(inputs) if found.levels}


def _bins(
    of: Input, deciles: Sequence[float] | None, low: float | None, high: float | None
) -> Bins:
    if low is None or high is None or deciles is None:
        return Bins((), float("nan"), float("nan"))
    if of.levels:
        return Bins(tuple(float(n + 1) for n in range(len(of.levels))), low, high)
    edges = sorted({edge for edge in deciles if edge < high})
    return Bins(tuple(edges) if edges or low == high else (low,), low, high)


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
