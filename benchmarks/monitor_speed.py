"""How long monitoring takes beside Evidently's report and NannyML's calculator, on the same decisions.

The first half of 50 days is the reference, the second half is judged. Anew, we cut the bins, count both
halves by day and device, and judge each of 100 devices and the fleet: PSI, Jensen-Shannon,
Kolmogorov-Smirnov and Wasserstein of every input and day, and the evidence of every stream. Kept, decisions
were counted as they came, by hour too (`keep` is what that takes, commits included), and the baseline when
it was frozen: counts are read, and judged. Peers get the values in memory and judge the fleet alone:
Evidently the whole half at once, NannyML by day.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import duckdb
import machine
import numpy as np
import polars as pl
from monitor_store import DAY, DAYS, NAMES, START, TYPE, fill, frozen

from observability.monitor.drift import Drift, drift
from observability.monitor.effect import jensen_shannon, kolmogorov_smirnov, wasserstein
from observability.monitor.psi import psi
from observability.monitor.watched import watch
from observability.store import lake
from observability.store.read import Window
from observability.store.write import Writer
from observability.store.write_cubes import advance

SPLIT = START + DAYS // 2 * DAY
_ROWS = """
SELECT device_id, decided_at, inputs FROM decisions WHERE arrival >= $first AND arrival < $end
ORDER BY decided_at
"""


def speed(
    folder: Path, decisions: int, peers: Mapping[str, Path], peer_decisions: int
) -> dict[str, float]:
    """Seconds of the processor (all threads) and of the clock, and how many times as long peers take.

    `peers` are their interpreters. Where `peer_decisions` are fewer they get the last ones of each half,
    and ratios are by decision.
    """
    with Writer(folder / "fleet") as writer, lake.cursor(writer.con) as con:
        fill(con, decisions)
        _hand_over(con, folder, peer_decisions // 2)
        at = [_now()]
        baseline, asked = frozen(writer, con, folder / "reference.parquet", START, SPLIT)
        at.append(_now())
        anew = drift(con, baseline, TYPE, Window(SPLIT))
        at.append(_now())
        _judge(anew)
        at.append(_now())
        for _ in advance(writer, con, asked, before=DAYS):
            pass
        at.append(_now())
        _judge(drift(con, baseline, TYPE, Window(SPLIT)))
        at.append(_now())
    parts = dict(
        zip(("baseline", "count", "statistics", "keep", "kept"), np.diff(at, axis=0), strict=True)
    )
    ours = {
        "": parts["baseline"] + parts["count"] + parts["statistics"],
        "_kept": parts["kept"],
    }
    figures = {key: x for part, took in parts.items() for key, x in _named(part, took).items()}
    for name, python in peers.items():
        machine.say(f"{name}: {peer_decisions:,} decisions at once")
        for work, took in _of_peer(name, python, folder).items():
            each = name if work == "default" else f"{name}_same_statistics"
            figures |= _named(each, took)
            for how, own in ours.items():
                cpu, wall = took * decisions / peer_decisions / own
                figures |= {f"ratio_{each}{how}": cpu, f"ratio_{each}{how}_wall": wall}
    return {name: round(float(value), 2) for name, value in figures.items()}


def _hand_over(con: duckdb.DuckDBPyConnection, folder: Path, peer_half: int) -> None:
    """Write the reference, and both halves for peers, `(n_rows, n_inputs)` in order of time."""
    for name, first in (("reference", 0), ("current", DAYS // 2)):
        rows = con.execute(_ROWS, {"first": first, "end": first + DAYS // 2}).pl()
        values = rows["inputs"].explode().to_numpy().reshape(-1, len(NAMES))
        np.save(folder / f"{name}.npy", values[-peer_half:])
        if name == "reference":
            path = folder / "reference.parquet"
            rows.drop("inputs").hstack(pl.DataFrame(values, list(NAMES))).write_parquet(path)


def _judge(found: Drift) -> None:
    """Every statistic of every stream and day."""
    usual, now = found.usual[:, None], found.now
    for effect in (psi, jensen_shannon, kolmogorov_smirnov):
        effect(usual, now)
    for n, bins in enumerate(found.baseline.bins):
        wasserstein(usual[:, :, n], now[:, :, n], np.array(bins.edges))
    watch(found)


def _of_peer(name: str, python: Path, folder: Path) -> dict[str, np.ndarray]:
    """CPU and wall seconds of each work."""
    script = Path(__file__).with_name("monitor_peers.py")
    ran = subprocess.run(
        [str(python), str(script), "time", name, str(folder), str(DAYS // 2)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, env=machine.peer_environment(),
    )  # fmt: skip
    found = json.loads(ran.stdout.splitlines()[-1])
    return {work: np.array(took) for work, took in found.items()}


def _now() -> tuple[float, float]:
    return time.process_time(), time.perf_counter()


def _named(name: str, took: np.ndarray) -> dict[str, float]:
    return {f"{name}_cpu_s": took[0], f"{name}_wall_s": took[1]}


def main() -> None:
    """Time all, and print a table and one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--decisions", type=int, default=1_000_000)
    parser.add_argument("--peer-rows", type=int, help="decisions that peers get; by default all")
    given = parser.parse_args()
    pythons = {name: machine.peer(name) for name in ("evidently", "nannyml")}
    peers = {name: python for name, python in pythons.items() if python.exists()}
    with tempfile.TemporaryDirectory() as folder:
        figures = speed(Path(folder), given.decisions, peers, given.peer_rows or given.decisions)
    machine.report(dict(figures), __doc__ or "", "duckdb", "numpy")


if __name__ == "__main__":
    main()
