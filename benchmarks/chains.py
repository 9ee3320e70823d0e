"""What loss accounting costs a commit: the same decisions with and without a chain, in one run.

It prints CPU per 1,000 decisions, minima of several commits, and how long the views take over many events.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import machine
import pyarrow as pa

from observability.collect.decode import decode
from observability.store import lake
from observability.store.pieces import link
from observability.store.write import Writer

sys.path.insert(0, str(machine.ROOT))
from tests.spans import decision, decision_span, group

DEVICES, EACH, ROUNDS = 24, 100, 7


def commits(*, chained: bool) -> Iterator[dict[str, pa.Table]]:
    """ROUNDS commits of EACH decisions of each device."""
    heads = [bytes(32)] * DEVICES
    for turn in range(ROUNDS):
        tables = []
        for device in range(DEVICES):
            spans = [decision_span(decision(inputs={"t": 1.0 * n})) for n in range(EACH)]
            batch = decode([group(spans, f"d-{device}")], origin="otlp", identity="x").batch()
            rows = batch["decisions"].to_pylist()
            for place, row in enumerate(rows):
                seq = turn * EACH + place
                row |= {"chain_id": f"c-{device}", "seq": seq, "prev": heads[device]}
                heads[device] = link(f"c-{device}", seq, heads[device], row["digest"])
            if chained:
                batch["decisions"] = pa.Table.from_pylist(rows, batch["decisions"].schema)
            tables.append(batch["decisions"])
        yield {"decisions": pa.concat_tables(tables)}


def least_s(folder: Path, *, chained: bool) -> tuple[float, float, float]:
    """CPU and wall seconds of the cheapest commit, and CPU seconds of the accounting alone."""
    cpu, wall, alone = [], [], []
    with Writer(folder) as writer:
        for batch in commits(chained=chained):
            stamped = {
                name: table.append_column(
                    "received_at", pa.array([writer.now()] * len(table), pa.timestamp("us", "UTC"))
                )
                for name, table in batch.items()
            }
            began = time.process_time()
            writer.chains.enter(stamped, [])
            alone.append(time.process_time() - began)
            began, then = time.process_time(), time.monotonic()
            writer.write(stamped)
            cpu.append(time.process_time() - began)
            wall.append(time.monotonic() - then)
    return min(cpu), min(wall), min(alone)


def views_s(folder: Path, events: int) -> dict[str, float]:
    """Seconds that each view takes over events events of DEVICES chains."""
    Writer(folder).close()
    con = lake.attach(folder, read_only=False)
    digest = hashlib.sha256(b"").hexdigest()
    con.execute(
        "INSERT INTO chain_events BY NAME SELECT 'd-' || (i % ?) AS device_id, 'c' AS chain_id,"
        " 'arrived' AS kind, 10 * (i // ?) AS seq_from, 10 * (i // ?) + 9 AS seq_to,"
        " unhex(?) AS prev, unhex(?) AS head, now() AS received_at FROM range(?) AS t(i)",
        [DEVICES, DEVICES, DEVICES, digest, digest, events],
    )
    took = {}
    for query in (
        "FROM chain_gaps",
        "FROM chain_status",
        "FROM chain_status WHERE device_id = 'd-1'",
    ):
        began = time.monotonic()
        con.execute(query).fetchall()
        took[query] = time.monotonic() - began
    con.close()
    began = time.monotonic()
    Writer(folder).close()
    took["opening the writer"] = time.monotonic() - began
    return took


def main() -> None:
    """Run all parts and print a table and one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="a tenth of the events")
    quick = parser.parse_args().quick
    events = 100_000 if quick else 1_000_000
    count = DEVICES * EACH / 1000
    figures: dict[str, object] = {"events": events}
    with tempfile.TemporaryDirectory() as work:
        for name, chained in (("unchained", False), ("chained", True)):
            cpu, wall, alone = least_s(Path(work) / name, chained=chained)
            figures[f"{name}_cpu_ms_per_1000"] = round(cpu / count * 1e3, 1)
            figures[f"{name}_wall_ms_per_1000"] = round(wall / count * 1e3, 1)
            figures[f"{name}_accounting_us"] = round(alone / count * 1e3, 2)
        took = views_s(Path(work) / "views", events)
        figures |= {
            re.sub(r"\W+", "_", query.lower()) + "_s": round(s, 2) for query, s in took.items()
        }
    machine.report(figures, f"{DEVICES} devices, {EACH} decisions of each a commit", "duckdb")
    if not quick:
        machine.save("chains", figures)


if __name__ == "__main__":
    main()
