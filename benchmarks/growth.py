"""What a store's size costs: a commit and three pages' queries at 100,000 decisions and at 10 million.

A store is filled through the product's Writer in commits of 20,000 decisions, as a busy receiver makes
them, with whole chains, and at the same rate: 100,000 decisions a day, so that 10 million are 100 days.
Then it is served, single requests are timed, and the queries are those of the pages, over the newest 24
hours, which is what a page opens with. ingest.py prints the figures.
"""

from __future__ import annotations

import gzip
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import machine
import pyarrow as pa
from bodies import stream
from load import connect, post
from served import has_command, served, whence

import observability
from observability.collect.bodies import Body, Stamp
from observability.collect.limits import Limits
from observability.collect.scan.together import decode_together
from observability.store import read_decisions, read_fleet
from observability.store.pieces import NO_HEAD, link
from observability.store.read import Window
from observability.store.stored import stored_decision
from observability.store.write import Batch, Writer

SMALL, LARGE = 100_000, 10_000_000
DEVICES, EACH, DAILY = 100, 200, 100_000
"""EACH is how many decisions of a device are in a commit: fewer than come between two checkpoints."""
COMMITS, QUERIES = 41, 15

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


def growth(folder: Path, sizes: tuple[int, int] = (SMALL, LARGE)) -> dict[str, object]:
    """Latencies at both sizes and their ratios, large to small."""
    at: list[dict[str, float]] = []
    took_s = 0.0
    for size in sizes:
        store = folder / str(size)
        began_s = time.monotonic()
        fill(store, size)
        took_s = time.monotonic() - began_s
        at.append(_latencies(store))
        machine.say(f"{size:,} decisions, filled in {took_s:.0f} s: {at[-1]}")
        shutil.rmtree(store)
    ratios = {name: round(at[1][name] / at[0][name], 2) for name in at[0]}
    return {
        "commit_growth_10m_vs_100k": ratios.pop("commit_ms"),
        **{
            name.removesuffix("_ms") + "_growth_10m_vs_100k": value
            for name, value in ratios.items()
        },
        "growth_ms_100k": at[0],
        "growth_ms_10m": at[1],
        "growth_fill_s": round(took_s),
    }


def fill(store: Path, decisions: int) -> None:
    """Store so many decisions, the newest of them received now; then compact."""
    commits = decisions // (DEVICES * EACH)
    with Writer(store) as writer:
        for turn, batch in enumerate(_batches(writer.now(), commits)):
            writer.write(batch)
            if turn % 50 == 49:
                machine.say(f"{(turn + 1) * DEVICES * EACH:,} of {decisions:,} decisions stored")
    if has_command("maintain"):
        whence("maintain", "--store", str(store))


def _batches(now: datetime, commits: int) -> Iterator[Batch]:
    """Commits of EACH decisions of each device, one after the other in time up to now."""
    lasts = timedelta(days=DEVICES * EACH / DAILY)
    began = now - lasts * commits
    template = _template(began)
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    con.register("template", template["decisions"])
    chains = con.sql(
        "SELECT device_id, any_value(chain_id) AS chain_id, list(seq ORDER BY seq), "
        "list(digest ORDER BY seq) FROM template GROUP BY device_id ORDER BY device_id"
    ).fetchall()
    heads = {device: NO_HEAD for device, *_ in chains}
    for turn in range(commits):
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


def _latencies(store: Path) -> dict[str, float]:
    single = stream("single", COMMITS, (1,))
    with served(store) as server:
        connection = connect(server.url)
        commit_ms = _median_ms([lambda one=one: post(connection, one.data) for one in single])
        connection.close()
    with observability.connect(store) as con:
        end = datetime.now(UTC)
        window = Window(end - timedelta(days=1), end)
        filters = read_decisions.Filters(window)
        key = con.sql("SELECT any_value(decision_id) FROM decisions WHERE device_id = 'grown-7'")
        wanted = key.fetchall()[0][0]
        return {
            "commit_ms": commit_ms,
            "fleet_ms": _median_ms([lambda: read_fleet.fleet(con, window)] * QUERIES),
            "decisions_ms": _median_ms([lambda: read_decisions.matching(con, filters)] * QUERIES),
            "decision_ms": _median_ms([lambda: stored_decision(con, wanted)] * QUERIES),
        }


def _median_ms(calls: list[Callable[[], object]]) -> float:
    took = []
    for call in calls:
        began_s = time.perf_counter()
        call()
        took.append((time.perf_counter() - began_s) * 1e3)
    return round(statistics.median(took), 1)
