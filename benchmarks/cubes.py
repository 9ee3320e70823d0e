"""How long the drift page's counts take from cubes, and from the decisions themselves.

Decisions of 100 devices with 20 inputs over 50 days are made in SQL, in commits as they would come,
counted as the worker beside a receiver counts them, and their small files merged as maintenance does each
hour. `heatmap_ms` is the median of the whole read: cubes, the tail that is not counted yet, and the PSI of
every input by day. CPU times are of this process.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import machine
import numpy as np
import polars as pl
from monitor_store import DAY, DAYS, DEVICES, NAMES, START, TYPE, fill, frozen

from observability.monitor.baseline import Baseline
from observability.monitor.drift import by_input, compared
from observability.store import lake
from observability.store.count import count
from observability.store.cube import Cube, summed
from observability.store.maintain_files import merge
from observability.store.read import Window
from observability.store.read_cubes import Counted, counted
from observability.store.read_drift import of_decisions
from observability.store.write import Writer
from observability.store.write_cubes import advance


def main() -> None:
    """Build the store, read it both ways and print a table and one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="100,000 decisions, not 10 million")
    quick = parser.parse_args().quick
    decisions = 100_000 if quick else 10_000_000
    with tempfile.TemporaryDirectory() as folder:
        figures = measured(Path(folder), decisions, rounds=3 if quick else 11)
    print("\n" + machine.described("duckdb", "numpy", "polars"))
    for name, value in figures.items():
        print(f"  {name:26} {value:14,}")
    print(json.dumps(figures))
    if not quick:
        machine.save("cubes", figures)


def measured(folder: Path, decisions: int, rounds: int) -> dict[str, float]:
    """Build a store of so many decisions, and time what reads it."""
    with Writer(folder / "fleet") as writer, lake.cursor(writer.con) as con:
        fill(con, decisions)
        baseline, asked = frozen(writer, con, _reference(folder), START - 28 * DAY, START)
        began, cpu = time.perf_counter(), time.process_time()
        done = sum(advance(writer, con, asked, before=DAYS - 1))
        build_s, build_cpu_s = time.perf_counter() - began, time.process_time() - cpu
        done += sum(advance(writer, con, asked, before=DAYS))
        for _ in merge(writer, con, at_least=2):
            pass
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


def _reference(folder: Path) -> Path:
    """The 28 days before the store's, of 1,000 values a day."""
    chance = np.random.default_rng(7)
    path = folder / "reference.parquet"
    pl.DataFrame(
        {
            "device_id": [f"dev-{n % DEVICES:03}" for n in range(28_000)],
            "decided_at": [START - (n % 28 + 1) * DAY for n in range(28_000)],
            **{name: chance.normal(size=28_000) for name in NAMES},
        }
    ).write_parquet(path)
    return path


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
