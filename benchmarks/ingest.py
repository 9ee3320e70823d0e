"""How fast decisions become durable, how long an acknowledgement takes, what a kill loses, what size costs.

A decision counts when its request was answered, which the server does only once files and catalog are on
the disk; afterwards they are counted in the store. The load runs on the same machine, in another process.
Two loads: request bodies of the product's own sender (chained, checkpoints, gzip) made beforehand, which
is `durable_per_s`; and OpenTelemetry's official exporter as it comes, encoding included, which is
`durable_per_s_official_exporter` and is bounded by the exporter.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import statistics
import tempfile
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

import machine
from bodies import GATES, INPUTS, SIZES, sdk_spans, stream, streams
from growth import growth
from kills import killed
from load import Load, connect, post
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExportResult
from served import COMMAND, Server, compile_scan, has_command, served, whence

import observability

SENDERS, EXPORTERS, EXPORTED = 128, 8, 512
"""Connections of our own load; processes of the exporter's, and spans in each of its requests."""
DATA = machine.ROOT.parent / "shared" / "data"
FULL = {"decisions": 200_000, "rounds": 5, "kills": 100, "half_load_s": 30}
QUICK = {"decisions": 16_000, "rounds": 2, "kills": 2, "half_load_s": 2}
_shared: dict[str, Barrier] = {}


def main() -> None:
    """Run all parts and print a table and one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="smaller, within 45 s")
    parser.add_argument("--data", type=Path, default=DATA, help="recorded data sets, for cmapss")
    arguments = parser.parse_args()
    quick = arguments.quick
    sizes = QUICK if quick else FULL
    compile_scan()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        figures: dict[str, object] = {**sizes, "server": COMMAND}
        figures |= _throughput(base / "load", quick=quick, **sizes)
        figures |= killed(base / "kill", sizes["kills"])
        figures |= {"bytes_per_decision": None, "commit_growth_10m_vs_100k": None}
        if not quick:
            figures |= _compacted(base / "cmapss", arguments.data) | growth(base / "growth")
    about = (
        f"{INPUTS} inputs, {GATES} gates; requests of {', '.join(map(str, SIZES))} spans in turn over"
        f" {SENDERS} connections; official exporter: {EXPORTED} spans, {EXPORTERS} processes"
    )
    machine.report(figures, about, "duckdb", "opentelemetry-sdk", "uvicorn")
    if not quick:
        machine.save("ingest", figures)


def _throughput(
    store: Path, decisions: int, rounds: int, half_load_s: int, *, quick: bool, **_: int
) -> dict[str, object]:
    with served(store) as server:
        _round(server, "warm", decisions // 4, SIZES)
        rates = [_round(server, f"mixed-{n}", decisions, SIZES) for n in range(rounds)]
        of_size = {
            size: None if quick else _round(server, f"of-{size}", decisions, (size,))
            for size in SIZES
        }
        half = _half_load(server, statistics.median(rates) / 2, half_load_s)
        official = _official(server, decisions // 4, rounds)
        idle_ms = _idle_ms(server)
        memory_mb = server.memory_mb("VmHWM")
    with observability.connect(store) as con:
        count = con.sql("SELECT count(*) FROM decisions").fetchall()[0][0]
    return {
        "durable_per_s": round(statistics.median(rates)),
        "durable_per_s_range": [round(min(rates)), round(max(rates))],
        **{f"durable_per_s_{size}": rate and round(rate) for size, rate in of_size.items()},
        "durable_per_s_official_exporter": round(statistics.median(official)),
        "durable_per_s_official_exporter_range": [round(min(official)), round(max(official))],
        **half,
        "ack_idle_ms": idle_ms,
        "peak_memory_mb": round(memory_mb),
        "bytes_per_decision_as_received": round(_decision_bytes(store) / count),
    }


def _round(server: Server, name: str, decisions: int, sizes: tuple[int, ...]) -> float:
    """Decisions per second that became durable, all senders busy."""
    with Load(server.url, streams(name, SENDERS, decisions, sizes)) as load:
        load.join()
    machine.say(f"{name}: {load.decisions_per_s():,.0f} decisions/s durable, {dict(load.answers)}")
    return load.decisions_per_s()


def _half_load(server: Server, per_s: float, seconds: int) -> dict[str, object]:
    """From when a request was due to its acknowledgement, under a steady half of the full load."""
    work = streams("half", SENDERS, int(per_s * seconds))
    with Load(server.url, work, per_s=per_s) as load:
        load.join()
    after_ms = sorted(each.after_s * 1e3 for each in load.acknowledged)
    machine.say(f"half load, {per_s:,.0f}/s: {dict(load.answers)}, longest {after_ms[-1]:.0f} ms")
    return {
        "half_load_requests": len(after_ms),
        "ack_p50_ms_half_load": round(statistics.median(after_ms), 1),
        "ack_p99_ms_half_load": round(after_ms[math.ceil(len(after_ms) * 0.99) - 1], 1),
        "ack_max_ms_half_load": round(after_ms[-1], 1),
    }


def _idle_ms(server: Server) -> float:
    """The median of single decisions, one after the other, to a server that has nothing else to do."""
    connection = connect(server.url)
    took_ms = []
    for body in stream("idle", 20, (1,)):
        began_s = time.perf_counter()
        post(connection, body.data)
        took_ms.append((time.perf_counter() - began_s) * 1e3)
        time.sleep(0.05)
    connection.close()
    return round(statistics.median(took_ms), 1)


def _official(server: Server, decisions: int, rounds: int) -> list[float]:
    """Decisions per second through the official exporter, in processes of its own."""
    rates = []
    ready = multiprocessing.Barrier(EXPORTERS)
    with multiprocessing.Pool(EXPORTERS, _share, (ready,)) as pool:
        for number in range(rounds):
            work = [
                (server.url, f"sdk-{number}-{n}", decisions // EXPORTERS) for n in range(EXPORTERS)
            ]
            done = pool.starmap(_export, work, chunksize=1)
            took_s = max(end for _, end, _ in done) - min(start for start, _, _ in done)
            rates.append(sum(count for *_, count in done) / took_s)
            machine.say(f"official exporter, round {number + 1}: {rates[-1]:,.0f} decisions/s")
    return rates


def _share(ready: Barrier) -> None:
    _shared["ready"] = ready


def _export(url: str, device: str, decisions: int) -> tuple[float, float, int]:
    """Send decisions of one device; returns start, end (wall seconds) and how many were acknowledged."""
    spans = sdk_spans(device, decisions)
    exporter = OTLPSpanExporter(f"{url}/v1/traces", timeout=30)
    _shared["ready"].wait()
    began_s, acknowledged = time.time(), 0
    for first in range(0, decisions, EXPORTED):
        part = spans[first : first + EXPORTED]
        if exporter.export(part) is SpanExportResult.SUCCESS:
            acknowledged += len(part)
    return began_s, time.time(), acknowledged


def _compacted(store: Path, data: Path) -> dict[str, object]:
    """Bytes on the disk per decision of a replayed data set, chained and compacted; None without its data."""
    if not (data / "cmapss").is_dir():
        machine.say(f"no {data / 'cmapss'}: bytes per decision are not measured")
        return {"bytes_per_decision": None}
    spec = machine.ROOT / "examples" / "cmapss.yaml"
    whence("replay", str(spec), "--data", str(data / "cmapss"), "--store", str(store))
    with observability.connect(store) as con:
        count = con.sql("SELECT count(*) FROM decisions").fetchall()[0][0]
    before = _decision_bytes(store) / count
    machine.say(f"cmapss: {count:,} decisions, {before:.0f} bytes each before maintenance")
    if has_command("maintain"):
        whence("maintain", "--store", str(store))
    after = round(_decision_bytes(store) / count) if has_command("maintain") else None
    return {"bytes_per_decision": after, "bytes_per_decision_uncompacted": round(before)}


def _decision_bytes(store: Path) -> int:
    """Of the files of `decisions` that the newest commit names; those that it replaced go later."""
    with observability.connect(store) as con:
        query = "SELECT file_size_bytes FROM ducklake_table_info('fleet') WHERE table_name = 'decisions'"
        return con.execute(query).fetchall()[0][0]


if __name__ == "__main__":
    main()
