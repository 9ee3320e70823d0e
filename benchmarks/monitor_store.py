"""A store of sensors that benchmarks of monitoring read: decisions made in SQL, in a commit for each day."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from observability.monitor.baseline import Baseline
from observability.store.count import count
from observability.store.read_cubes import Counted, FrozenBins
from observability.store.read_drift import Input, equal_count_bins, of_reference
from observability.store.write import Writer
from observability.store.write_cubes import freeze

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS, DEVICES, INPUTS = 50, 100, 20
DAY = timedelta(days=1)
TYPE = "pump.stop"
NAMES = tuple(f"x{n}" for n in range(INPUTS))

_MAKE = """
INSERT INTO decisions BY NAME
SELECT 'dev-' || lpad(CAST(i % $devices AS VARCHAR), 3, '0') AS device_id,
    md5(CAST(i AS VARCHAR) || $day) || '-0000000000000000' AS decision_id, $type AS decision_type,
    'wear' AS model_name, '1.0' AS model_version, 'sha256:0' AS model_digest,
    CAST($start AS TIMESTAMPTZ) + to_microseconds(CAST(i * 86400e6 / $each AS BIGINT)) AS decided_at,
    CAST($start AS TIMESTAMPTZ) + INTERVAL 1 DAY AS received_at, 'layout' AS layout_id,
    list_transform(range($inputs), lambda n: sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random()))
        AS inputs,
    $day AS arrival
FROM range($each) t(i)
"""
_COLUMNS = ", ".join(f'inputs[{n + 1}] AS "{name}"' for n, name in enumerate(NAMES))


def fill(con: duckdb.DuckDBPyConnection, decisions: int) -> None:
    """Make so many decisions of 100 devices over 50 days; each of 20 inputs is normal, mean 0, sd 1."""
    con.execute("INSERT INTO layouts VALUES ('layout', ?, ?, [], now())", [TYPE, list(NAMES)])
    each = decisions // DAYS
    fixed = {"devices": DEVICES, "type": TYPE, "each": each, "inputs": INPUTS}
    for day in range(DAYS):
        con.execute(_MAKE, {**fixed, "day": day, "start": (START + day * DAY).isoformat()})
        print(f"\r{day + 1} of {DAYS} days made", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def export(con: duckdb.DuckDBPyConnection, path: Path, before: datetime) -> None:
    """Write the decisions before a day as a reference: device_id, decided_at and each input, in Parquet."""
    con.execute(
        f"COPY (SELECT device_id, decided_at, {_COLUMNS} FROM decisions WHERE decided_at < $before)"  # noqa: S608
        f" TO '{path}'",
        {"before": before},
    )


def frozen(
    writer: Writer,
    con: duckdb.DuckDBPyConnection,
    reference: Path,
    since: datetime,
    until: datetime,
) -> tuple[Baseline, Counted]:
    """A reference of these days as the baseline, its bins kept in the store, and what is counted in them."""
    inputs = tuple(Input(name) for name in NAMES)
    rows = of_reference(reference, inputs, devices=True, times=True)
    bins = equal_count_bins(con, rows)
    kept = FrozenBins("sha256:bins", "sha256:reference", inputs, bins)
    freeze(writer, kept)
    cube = count(con, rows, bins, DAY)
    baseline = Baseline(inputs, bins, cube, DAY, since, until, "wear 1.0", rows, kept.bins_id)
    return baseline, Counted(TYPE, inputs, bins, kept.bins_id)
