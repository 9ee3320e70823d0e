"""How fast decisions become durable through the official exporter, and what a kill loses.

The server is `whence serve`, pages included; the load comes from other processes through
opentelemetry's own OTLP/HTTP protobuf exporter as it comes. A decision counts when its request was answered,
which the server does only after files and catalog are on the disk. The kill part sends SIGKILL to the
server at random instants under load and then looks for every acknowledged decision.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path

import machine
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import observability
from traces import Gate, ModelVersion
from traces.device import DecisionPoint, Recorder

INPUTS, GATES, BATCH, CLIENTS = 20, 3, 512, 8
_answered: Event | None = None
_ready: Barrier | None = None


def main() -> None:
    """Run all parts and print a table and one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="smaller, within 45 s")
    quick = parser.parse_args().quick
    decisions, rounds, kills = (8_000, 2, 2) if quick else (40_000, 5, 10)
    with tempfile.TemporaryDirectory() as folder:
        figures = {"decisions": decisions, "rounds": rounds, "kills": kills}
        figures |= _throughput(Path(folder) / "load", decisions, rounds)
        figures |= _kills(Path(folder) / "kill", kills)
        figures |= {"ack_p99_ms_half_load": None, "commit_growth_10m_vs_100k": None}
    about = (
        f"{INPUTS} inputs, {GATES} gates, {BATCH} decisions a request, {CLIENTS} clients beside it"
    )
    machine.report(figures, about, "duckdb", "opentelemetry-sdk", "streamlit")
    if not quick:
        machine.save("ingest", figures)


def _throughput(store: Path, decisions: int, rounds: int) -> dict[str, object]:
    rates = []
    ready = multiprocessing.Barrier(CLIENTS)
    with _served(store) as url, multiprocessing.Pool(CLIENTS, _share, (None, ready)) as pool:
        for number in range(rounds):
            share = decisions // CLIENTS
            spans = pool.starmap(
                _send, [(url, f"dev-{number}-{c}", share) for c in range(CLIENTS)], chunksize=1
            )
            wall = max(end for _, end, _ in spans) - min(start for start, _, _ in spans)
            rates.append(sum(len(ids) for *_, ids in spans) / wall)
            machine.say(f"round {number + 1} of {rounds}: {rates[-1]:,.0f} decisions/s durable")
        idle = [_idle_ms(url, n) for n in range(10)]
    with observability.connect(store) as con:
        count = con.sql("SELECT count(*) FROM decisions").fetchall()[0][0]
    size = sum(f.stat().st_size for f in (store / "data" / "main" / "decisions").rglob("*.parquet"))
    return {
        "durable_per_s": round(statistics.median(rates)),
        "durable_per_s_range": [round(min(rates)), round(max(rates))],
        "ack_idle_ms": round(statistics.median(idle), 1),
        "bytes_per_decision": round(size / count),
    }


def _kills(store: Path, kills: int) -> dict[str, int]:
    acknowledged: set[str] = set()
    for number in range(kills):
        answered = multiprocessing.Event()
        with _served(store) as url, multiprocessing.Pool(1, _share, (answered, None)) as pool:
            sending = pool.apply_async(_send, (url, f"kill-{number}", 20_000, True))
            answered.wait(60)
            time.sleep(random.uniform(0.3, 1.5))  # noqa: S311
            os.kill(json.loads((store / "writer.json").read_text())["pid"], signal.SIGKILL)
            acknowledged |= set(sending.get(60)[2])
        machine.say(f"kill {number + 1} of {kills}: {len(acknowledged):,} acknowledged so far")
    with observability.connect(store) as con:
        rows = con.sql("SELECT decision_id FROM decisions").fetchall()
    stored = [row[0] for row in rows]
    return {
        "kill_acknowledged": len(acknowledged),
        "kill_lost": len(acknowledged - set(stored)),
        "kill_duplicates": len(stored) - len(set(stored)),
    }


def _send(url: str, device: str, count: int, stop: bool = False) -> tuple[float, float, list[str]]:
    """Send decisions of one device; returns start, end (wall seconds) and the acknowledged ids."""
    spans = _spans(device, count)
    timeout = 3 if stop else 30
    exporter = OTLPSpanExporter(f"{url}/v1/traces", timeout=timeout)
    acknowledged: list[str] = []
    if _ready is not None:
        _ready.wait()
    started = time.time()
    for first in range(0, count, BATCH):
        batch = spans[first : first + BATCH]
        try:
            result = exporter.export(batch)
        except OSError:
            result = SpanExportResult.FAILURE
        if result is SpanExportResult.SUCCESS:
            acknowledged += [_id(span) for span in batch]
            if _answered is not None:
                _answered.set()
        elif stop:
            break
    ended = time.time()
    return started, ended, acknowledged


def _share(answered: Event | None, ready: Barrier | None) -> None:
    global _answered, _ready
    _answered, _ready = answered, ready


def _spans(device: str, count: int) -> list[ReadableSpan]:
    memory = InMemorySpanExporter()
    recorder = Recorder(device_id=device, service="bench", processor=SimpleSpanProcessor(memory))
    gates = [Gate(f"limit_{n}", f"input_{n}", "<=", 0.9) for n in range(GATES)]
    model = ModelVersion("bench", "1", "sha256:" + "0" * 64)
    point = DecisionPoint(
        "bench.act", model, lambda v: v["input_0"], 0.5, ("hold", "act"), recorder, gates
    )
    seeded = random.Random(device)  # noqa: S311
    for _ in range(count):
        inputs = {f"input_{n}": round(seeded.random(), 4) for n in range(INPUTS)}
        point.decide(inputs, context={"mode": "auto", "site": "a"})
    return list(memory.get_finished_spans())


def _idle_ms(url: str, number: int) -> float:
    exporter = OTLPSpanExporter(f"{url}/v1/traces")
    spans = _spans(f"idle-{number}", 1)
    started = time.perf_counter()
    exporter.export(spans)
    return (time.perf_counter() - started) * 1e3


@contextlib.contextmanager
def _served(store: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [
        sys.executable,
        "-m",
        "observability.cli",
        "serve",
        "--store",
        str(store),
        "--port",
        str(port),
    ]
    with subprocess.Popen(
        command, cwd=machine.ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            _wait_for(url, server)
            yield url
        finally:
            server.terminate()
            server.wait(30)


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    empty = urllib.request.Request(f"{url}/v1/traces", b"{}", {"Content-Type": "application/json"})  # noqa: S310
    for _ in range(300):
        with contextlib.suppress(OSError), urllib.request.urlopen(empty):  # noqa: S310
            return
        if server.poll() is not None:
            break
        time.sleep(0.1)
    raise SystemExit("the server did not start")


def _id(span: ReadableSpan) -> str:
    context = span.context
    return f"{context.trace_id:032x}-{context.span_id:016x}" if context else ""


if __name__ == "__main__":
    main()
