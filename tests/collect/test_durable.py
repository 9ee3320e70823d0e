"""What was acknowledged is there: through the official exporter, from another process, after a kill."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import observability
from observability.collect.serving import serving
from tests.spans import MODEL, decision_span, group, post, protobuf_body, rows
from traces import Gate
from traces.device import DecisionPoint, Recorder

SERVE = """if True:
    import sys, time
    from pathlib import Path
    from observability.collect.serving import serving
    with serving(Path(sys.argv[1])) as url:
        print(url, flush=True)
        time.sleep(600)"""
TABLES = (
    "decisions",
    "outcomes",
    "spans",
    "layouts",
    "resources",
    "rejects",
    "conflicts",
    "meta",
    "gates",
    "context",
)


@contextlib.contextmanager
def served(store: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Another process that serves the store; killed at the end, if not before."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(store)], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip(), server
        finally:
            server.kill()


@pytest.mark.parametrize(
    "compression", [Compression.NoCompression, Compression.Gzip], ids=lambda kind: kind.name
)
def test_the_official_exporter_delivers(store: Path, compression: Compression) -> None:
    with serving(store) as url:
        exporter = OTLPSpanExporter(f"{url}/v1/traces", compression=compression)
        recorder = Recorder(device_id="pump-07", service="pump", exporter=exporter)
        gates = [Gate("max_temperature", "temperature", "<=", 80.0)]
        point = DecisionPoint(
            "pump.stop", MODEL, lambda _: 0.9, 0.5, ("run", "stop"), recorder, gates
        )
        ids = [point.decide({"temperature": 70.0 + number}).decision_id for number in range(30)]
        recorder.flush()
        found = rows(store, "SELECT decision_id FROM d_pump_stop ORDER BY temperature")
        assert found == [(key,) for key in ids]
        recorder.shutdown()


def test_the_official_exporter_is_told_of_a_failure(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = InMemorySpanExporter()
    recorder = Recorder(device_id="d", service="s", processor=SimpleSpanProcessor(memory))
    DecisionPoint("pump.stop", MODEL, lambda _: 0.9, 0.5, ("run", "stop"), recorder).decide(
        {"x": 1.0}
    )
    with serving(store) as url:
        exporter = OTLPSpanExporter(f"{url}/v1/traces", timeout=1)
        monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "full")))
        assert exporter.export(memory.get_finished_spans()) is SpanExportResult.FAILURE
        monkeypatch.undo()
        exporter = OTLPSpanExporter(f"{url}/v1/traces")
        assert exporter.export(memory.get_finished_spans()) is SpanExportResult.SUCCESS
    assert rows(store, "SELECT count(*) FROM decisions") == [(1,)]


def test_another_process_sees_a_decision_within_three_seconds_of_its_acknowledgement(
    store: Path,
) -> None:
    with served(store) as (url, _), observability.connect(store) as con:
        stop = threading.Event()
        noise = threading.Thread(target=keep_sending, args=(url, stop, []))
        noise.start()
        for _ in range(5):
            sent = decision_span()
            assert post(url, protobuf_body(group([sent], "watched"))).status == 200
            acknowledged = time.monotonic()
            query = (
                "SELECT count(*) FROM d_pump_stop WHERE device_id = 'watched' AND decision_id = ?"
            )
            assert con.execute(
                query, [f"{sent.trace_id.hex()}-{sent.span_id.hex()}"]
            ).fetchall() == [(1,)]
            assert time.monotonic() - acknowledged < 3
        stop.set()
        noise.join()


def keep_sending(url: str, stop: threading.Event, acknowledged: list[str]) -> None:
    while not stop.is_set():
        sent = decision_span()
        with contextlib.suppress(OSError):
            if post(url, protobuf_body(group([sent]))).status == 200:
                acknowledged.append(f"{sent.trace_id.hex()}-{sent.span_id.hex()}")


def test_after_a_kill_every_acknowledged_decision_is_there_and_every_table_can_be_read(
    store: Path,
) -> None:
    acknowledged: list[str] = []
    for pause_s in (0.3, 0.05):
        with served(store) as (url, server):
            stop = threading.Event()
            senders = [
                threading.Thread(target=keep_sending, args=(url, stop, acknowledged))
                for _ in range(3)
            ]
            for sender in senders:
                sender.start()
            before = len(acknowledged)
            while len(acknowledged) < before + 20:
                time.sleep(0.01)
            time.sleep(pause_s)
            server.send_signal(signal.SIGKILL)
            server.wait()
            stop.set()
            for sender in senders:
                sender.join()
        stored = {key for (key,) in rows(store, "SELECT decision_id FROM decisions")}
        assert set(acknowledged) <= stored
        for table in TABLES:
            rows(store, f"FROM {table}")
    with serving(store) as url:
        assert post(url, protobuf_body(group([decision_span()]))).status == 200


def test_a_decision_is_there_when_the_server_is_killed_right_after_its_acknowledgement(
    store: Path,
) -> None:
    sent = decision_span()
    with served(store) as (url, server):
        assert post(url, protobuf_body(group([sent]))).status == 200
        server.send_signal(signal.SIGKILL)
        server.wait()
    assert rows(store, "SELECT inputs FROM decisions") == [([71.5],)]
    assert rows(store, "SELECT temperature FROM d_pump_stop") == [(71.5,)]
