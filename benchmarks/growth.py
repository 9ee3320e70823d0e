"""What a store's size costs: a commit, the pages' queries and alerts, at 100,000 decisions and at 10 million.

A store is filled through the Writer with whole chains, 100,000 decisions a day, so that 10 million
are 100 days, a day in each commit, and then maintained: the files end as those of a receiver's smaller
commits do. Both stores are served side by side, and each request and each query is timed on the one and
on the other in turn, so that what else the machine does meets both. The queries are those of the pages, over
the newest 24 hours of each store, and those of the alerts, evaluated each minute; the times are medians.

    python benchmarks/growth.py --in FOLDER    keeps the stores there, and takes those that are there
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import machine
import pyarrow as pa
from bodies import stream
from load import connect, post
from served import Server, compile_scan, has_command, served, whence

import observability
from observability.collect.bodies import Body, Stamp
from observability.collect.limits import Limits
from observability.collect.scan.together import decode_together
from observability.monitor.evaluation import evaluate
from observability.store import (
    lake,
    read,
    read_decisions,
    read_device,
    read_device_changes,
    read_drift,
    read_fleet,
    read_health,
)
from observability.store.pieces import NO_HEAD, link
from observability.store.read import Window
from observability.store.stored import stored_decision
from observability.store.write import Batch, Writer

SMALL, LARGE = 100_000, 10_000_000
DEVICES, EACH, DAILY = 100, 200, 100_000
"""EACH is how many decisions of a device are in a turn: fewer than come between two checkpoints."""
TURNS = DAILY // (DEVICES * EACH)
COMMITS, QUERIES = 41, 15
FILLED = "filled"
"""The mark of a store that is whole."""
Call = Callable[[], object]

DEVICE, TYPE = "grown-7", "bench.act"
_NEWEST = "SELECT max(decided_at), any_value(decision_id) FROM decisions WHERE device_id = ?"

_RENEWED = """
WITH timed AS (
    SELECT template.*, prevs.prev AS before,
        $began + to_microseconds((seq + $turn * $each) * $between_us) AS instant,
        md5(device_id || ':' || seq || ':' || $turn) AS chance
    FROM template JOIN prevs USING (device_id, seq)
)
SELECT * EXCLUDE (before, instant, chance) REPLACE (
    lpad(lower(to_hex(epoch_ms(instant))), 12, '0') || left(chance, 20) || '-' || right(chance, 16)
        AS decision_id,
    seq + $turn * $each AS seq, before AS prev, instant AS decided_at, $received AS received_at,
    epoch_ns(instant) AS start_unix_nano, epoch_ns(instant) AS end_unix_nano)
FROM timed
"""


def main() -> None:
    """Fill what is not there, measure, and print a table and one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="smaller, within 45 s")
    parser.add_argument("--in", dest="folder", type=Path, help="keep the stores in this folder")
    arguments = parser.parse_args()
    compile_scan()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        figures = (
            growth(folder, (DAILY // 5, DAILY // 5 * 2), commits=5, queries=3)
            if arguments.quick
            else growth(folder)
        )
    machine.report(figures, "two stores in turn, of which one is larger", "duckdb")


def growth(
    folder: Path,
    sizes: tuple[int, int] = (SMALL, LARGE),
    commits: int = COMMITS,
    queries: int = QUERIES,
) -> dict[str, object]:
    """Latencies at both sizes, medians of so many, and their ratios, large to small."""
    took_s = 0.0
    for size in sizes:
        began_s = time.monotonic()
        fill(folder / str(size), size)
        took_s = time.monotonic() - began_s
        machine.say(f"{size:,} decisions, filled in {took_s:.0f} s")
    stores = [folder / str(size) for size in sizes]
    small, large = _latencies(stores, commits, queries)
    ratios = {name: round(large[name] / small[name], 2) for name in small}
    return {
        "commit_growth_10m_vs_100k": ratios.pop("commit_ms"),
        **{
            name.removesuffix("_ms") + "_growth_10m_vs_100k": value
            for name, value in ratios.items()
        },
        "growth_ms_100k": small,
        "growth_ms_10m": large,
        "growth_fill_s": round(took_s),
    }


def fill(store: Path, decisions: int) -> None:
    """Store so many decisions, the newest of them received now; then maintain. One that is there stays."""
    if (store / FILLED).exists():
        return
    turns = decisions // (DEVICES * EACH)
    with Writer(store) as writer:
        batches = _batches(writer.now(), turns)
        done = 0
        while some := list(itertools.islice(batches, TURNS)):
            writer.write({name: pa.concat_tables([one[name] for one in some]) for name in some[0]})
            done += len(some)
            if done % (10 * TURNS) == 0:
                machine.say(f"{done * DEVICES * EACH:,} of {decisions:,} decisions stored")
    _maintain(store)
    (store / FILLED).touch()


def _maintain(store: Path) -> None:
    if has_command("maintain"):
        whence("maintain", "--store", str(store))


def _batches(now: datetime, turns: int) -> Iterator[Batch]:
    """Turns of EACH decisions of each device, one after the other in time up to now."""
    lasts = timedelta(days=DEVICES * EACH / DAILY)
    began = now - lasts * turns
    template = _template(began)
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    con.register("template", template["decisions"])
    chains = con.sql(
        "SELECT device_id, any_value(chain_id) AS chain_id, list(seq ORDER BY seq), "
        "list(digest ORDER BY seq) FROM template GROUP BY device_id ORDER BY device_id"
    ).fetchall()
    heads = {device: NO_HEAD for device, *_ in chains}
    for turn in range(turns):
        prevs: dict[str, list] = {"device_id": [], "seq": [], "prev": []}
        for device, chain_id, seqs, digests in chains:
            for seq, digest in zip(seqs, digests, strict=True):
                for name, value in zip(prevs, (device, seq, heads[device]), strict=True):
                    prevs[name].append(value)
                heads[device] = link(chain_id, seq + turn * EACH, heads[device], digest)
        con.register("prevs", pa.table(prevs))
        given = {
            "turn": turn,
            "each": EACH,
            "began": began,
            "between_us": lasts // timedelta(microseconds=EACH),
            "received": began + lasts * (turn + 1),
        }
        decisions = con.execute(_RENEWED, given).to_arrow_table()
        yield {**template, "decisions": decisions.cast(template["decisions"].schema)}


def _template(first: datetime) -> Batch:
    """EACH decisions of each device as the receiver decodes them, without the spans beside them."""
    bodies = [
        Body(gzip.decompress(one.data), first)
        for device in range(DEVICES)
        for one in stream(f"grown-{device}", EACH, (EACH,))[:1]
    ]
    tables = decode_together(bodies, Stamp("otlp", "unverified"), Limits()).tables()
    return {name: table for name, table in tables.items() if name != "spans"}


def _latencies(stores: Sequence[Path], commits: int, queries: int) -> list[dict[str, float]]:
    """The medians of each store, all measured in turn."""
    found: list[dict[str, float]] = [{} for _ in stores]
    with contextlib.ExitStack() as stack:
        posts = [_commits(stack.enter_context(served(store)), commits) for store in stores]
        _in_turn(found, "commit_ms", posts, commits)
    for store in stores:  # what these commits left must not lie in more files here than there
        _maintain(store)
    with contextlib.ExitStack() as stack:
        cons = [stack.enter_context(observability.connect(store)) for store in stores]
        asked = [_queries(con, store) for con, store in zip(cons, stores, strict=True)]
        for name in asked[0]:
            _in_turn(found, name, [calls[name] for calls in asked], queries)
    return found


def _queries(con: duckdb.DuckDBPyConnection, store: Path) -> dict[str, Call]:
    """What a store is asked, each as the pages and the alerts' worker ask it: within one commit."""
    newest, key = con.execute(_NEWEST, [DEVICE]).fetchall()[0]
    window = Window(newest - timedelta(days=1))
    calls: dict[str, Call] = {
        "fleet_ms": lambda: read_fleet.fleet(con, window),
        "freshness_ms": lambda: read.freshness(con),
        "choices_ms": lambda: read_decisions.choices(con, window),
        "decisions_ms": lambda: read_decisions.matching(con, read_decisions.Filters(window)),
        "decision_ms": lambda: stored_decision(con, key),
        "device_ms": lambda: read_device.known(con, DEVICE, window),
        "changes_ms": lambda: read_device_changes.changes(con, DEVICE, TYPE, window),
        "health_ms": lambda: read_health.health(con, store, window),
        "types_ms": lambda: read_drift.decided_types(con),
    }
    return {
        **{name: _within(con, call) for name, call in calls.items()},
        "alerts_ms": lambda: evaluate(con, store),
    }


def _within(con: duckdb.DuckDBPyConnection, call: Call) -> Call:
    def read_once() -> object:
        with lake.reading(con):
            return call()

    return read_once


def _commits(server: Server, commits: int) -> Call:
    """Sends one more decision each time, of a device of this run."""
    connection = connect(server.url)
    bodies = iter(stream(f"single-{time.time_ns()}", commits + 1, (1,)))
    return lambda: post(connection, next(bodies).data)


def _in_turn(
    found: Sequence[dict[str, float]], name: str, calls: Sequence[Call], times: int
) -> None:
    """Time each call so often, one after the other in each round, and note the medians in milliseconds."""
    took_ms: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    for _ in range(times):
        for call, took in zip(calls, took_ms, strict=True):
            began_s = time.perf_counter()
            call()
            took.append((time.perf_counter() - began_s) * 1e3)
    for one, took in zip(found, took_ms, strict=True):
        one[name] = round(statistics.median(took), 1)
    machine.say(f"{name}: {[one[name] for one in found]}")


if __name__ == "__main__":
    main()
