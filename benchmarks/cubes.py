"""How long the drift page's counts take from cubes, and from the decisions themselves.

Decisions of 100 devices with 20 inputs over 50 days are made in SQL, in commits as they would come, and
counted as the worker beside a receiver counts them. `heatmap_ms` is the median of the whole read: cubes,
the tail that is not counted yet, and the PSI of every input by day. CPU times are of this process.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import machine
import numpy as np
import polars as pl

from observability.monitor.baseline import Baseline
from observability.monitor.drift import by_input, compared
from observability.store import lake
from observability.store.count import count
from observability.store.cube import Cube, summed
from observability.store.read import Window
from observability.store.read_cubes import Counted, FrozenBins, counted
from observability.store.read_drift import Input, equal_count_bins, of_decisions, of_reference
from observability.store.write import Writer
from observability.store.write_cubes import advance, freeze

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS, DEVICES, INPUTS = 50, 100, 20
DAY = timedelta(days=1)
TYPE = "pump.stop"

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


def main() -> None:
    """Build the store, read it both ways and print a table and one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="100,000 decisions, not 10 million")
    quick = parser.parse_args().quick
    decisions = 100_000 if quick else 10_000_000
    with tempfile.TemporaryDirectory() as folder:
        figures = _measured(Path(folder), decisions, rounds=3 if quick else 11)
    print("\n" + machine.described("duckdb", "numpy", "polars"))
    for name, value in figures.items():
        print(f"  {name:26} {value:14,}")
    print(json.dumps(figures))
    if not quick:
        machine.save("cubes", figures)


def _measured(folder: Path, decisions: int, rounds: int) -> dict[str, float]:
    with Writer(folder / "fleet") as writer, lake.cursor(writer.con) as con:
        con.execute(
            "INSERT INTO layouts VALUES ('layout', ?, ?, [], now())",
            [TYPE, [f"x{n}" for n in range(INPUTS)]],
        )
        for day in range(DAYS):
            _made(con, day, decisions // DAYS)
            print(f"\r{day + 1} of {DAYS} days", end="", file=sys.stderr, flush=True)
        baseline, asked = _baseline(con, folder)
        freeze(
            writer, FrozenBins(asked.bins_id or "", "sha256:reference", asked.inputs, asked.bins)
        )
        began, cpu = time.perf_counter(), time.process_time()
        done = sum(advance(writer, con, asked, before=DAYS - 1))
        build_s, build_cpu_s = time.perf_counter() - began, time.process_time() - cpu
        done += sum(advance(writer, con, asked, before=DAYS))
        kept_ms, kept_cpu_ms = _times(lambda: _heatmap(con, baseline, asked), rounds)
        read_ms, _ = _times(lambda: counted(con, asked, Window(), DAY), rounds)
        direct_ms, direct_cpu_ms = _times(lambda: _direct(con, asked), 1)
        kept, whole = counted(con, asked, Window(), DAY), _direct(con, asked)
        if not np.array_equal(kept.counts, whole.counts) or done != kept.cells["decisions"].sum():
            raise SystemExit("the cubes do not say what the decisions say")
        size = "SELECT sum(data_file_size_bytes) FROM ducklake_list_files('fleet', 'cubes')"
        cube_bytes = con.execute(size).fetchall()[0][0]
        cells = con.execute("SELECT count(*) FROM cubes").fetchall()[0][0]
    return {
        "decisions": decisions,
        "heatmap_ms": kept_ms,
        "heatmap_cpu_ms": kept_cpu_ms,
        "cube_read_ms": read_ms,
        "counting_on_read_ms": direct_ms,
        "counting_on_read_cpu_ms": direct_cpu_ms,
        "build_rows_per_s": round(decisions / DAYS * (DAYS - 1) / build_s),
        "build_rows_per_cpu_s": round(decisions / DAYS * (DAYS - 1) / build_cpu_s),
        "cube_rows": cells,
        "cube_bytes": int(cube_bytes),
    }


def _made(con, day: int, each: int) -> None:
    start = (START + day * DAY).isoformat()
    con.execute(
        _MAKE,
        {
            "devices": DEVICES,
            "day": day,
            "type": TYPE,
            "each": each,
            "inputs": INPUTS,
            "start": start,
        },
    )


def _baseline(con, folder: Path) -> tuple[Baseline, Counted]:
    chance = np.random.default_rng(7)
    values = {f"x{n}": chance.normal(size=28_000) for n in range(INPUTS)}
    days = [START - (n % 28 + 1) * DAY for n in range(28_000)]
    devices = [f"dev-{n % DEVICES:03}" for n in range(28_000)]
    frame = pl.DataFrame({"device_id": devices, "decided_at": days, **values})
    frame.write_parquet(folder / "reference.parquet")
    inputs = tuple(Input(name) for name in values)
    rows = of_reference(folder / "reference.parquet", inputs, devices=True, times=True)
    bins = equal_count_bins(con, rows)
    asked = Counted(TYPE, inputs, bins, "sha256:bins")
    cube = count(con, rows, bins, DAY)
    return Baseline(
        inputs, bins, cube, DAY, START - 28 * DAY, START, "wear 1.0", "sha256:bins"
    ), asked


def _heatmap(con, baseline: Baseline, asked: Counted) -> None:
    with lake.reading(con):
        cube = counted(con, asked, Window(), DAY)
    by_input(compared(baseline, TYPE, cube))


def _direct(con, asked: Counted) -> Cube:
    cube = count(con, of_decisions(con, TYPE, asked.inputs, Window()), asked.bins, DAY)
    return summed([replace(cube, cells=cube.cells.drop("received_at"))])


def _times(run: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median milliseconds of the clock and of the processor, after one run that warms up."""
    wall, cpu = [], []
    for _ in range(rounds + 1):
        began, worked = time.perf_counter(), time.process_time()
        run()
        wall.append((time.perf_counter() - began) * 1e3)
        cpu.append((time.process_time() - worked) * 1e3)
    return round(statistics.median(wall[1:]), 1), round(statistics.median(cpu[1:]), 1)


if __name__ == "__main__":
    main()
