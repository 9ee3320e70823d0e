"""`whence collect` as people start it: the receiver alone, until it is told to stop."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult

from observability.store.append import append
from observability.store.write import Writer
from tests.spans import batch, decision, decision_span, group, post, protobuf_body, rows
from traces.codec import encode_decision


@contextlib.contextmanager
def collecting(store: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The command in a process of its own; yields the URL that it names."""
    command = [sys.executable, "-m", "observability.cli", "collect", "--store", str(store)]
    with subprocess.Popen(
        [*command, "--port", "0", *options], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == f"Whence collects into {store}\n"
            yield process.stdout.readline().split()[-1], process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_receives_takes_rows_and_ends_when_told(
    tmp_path: Path, number: signal.Signals
) -> None:
    store = tmp_path / "fleet"
    with collecting(store) as (url, process):
        base = url.removesuffix("/v1/traces")
        assert post(base, protobuf_body(group([decision_span()]))).status == 200
        assert append(store, batch(decision_span())).stored["decisions"] == 1
        process.send_signal(number)
        assert process.wait(timeout=30) == 0
    assert not (store / "writer.json").exists()
    Writer(store).close()
    assert rows(store, "SELECT count(*) FROM decisions") == [(2,)]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2"])
def test_every_address_of_this_machine_can_be_listened_on(store: Path, host: str) -> None:
    with collecting(store, "--host", host) as (url, _):
        exporter = OTLPSpanExporter(url)
        assert exporter.export([one_decision()]) is SpanExportResult.SUCCESS
        exporter.shutdown()
        assert append(store, batch(decision_span())).stored["decisions"] == 1


def test_told_to_stop_under_load_it_loses_nothing_acknowledged(store: Path) -> None:
    acknowledged: list[str] = []
    stop = threading.Event()
    with collecting(store) as (url, process):
        senders = [
            threading.Thread(target=keep_exporting, args=(url, stop, acknowledged))
            for _ in range(4)
        ]
        for sender in senders:
            sender.start()
        while len(acknowledged) < 40:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
        stop.set()
        for sender in senders:
            sender.join()
    assert not (store / "writer.json").exists()
    stored = [key for (key,) in rows(store, "SELECT decision_id FROM decisions")]
    assert len(stored) == len(set(stored))
    assert set(acknowledged) <= set(stored)


def test_told_to_stop_it_does_not_wait_for_ever_for_a_sender_that_stalls(store: Path) -> None:
    with collecting(store) as (url, process):
        address = urlsplit(url)
        with socket.create_connection((address.hostname, address.port), timeout=30) as stalled:
            stalled.sendall(
                b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/x-protobuf\r\nContent-Length: 9\r\n\r\nhalf"
            )
            assert post(url.removesuffix("/v1/traces"), b"").status == 200
            process.send_signal(signal.SIGTERM)
            answer = stalled.recv(10_000)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: 1\r\n" in answer.lower()
        assert process.wait(timeout=30) == 0


def keep_exporting(url: str, stop: threading.Event, acknowledged: list[str]) -> None:
    exporter = OTLPSpanExporter(url, compression=Compression.Gzip, timeout=1)
    while not stop.is_set():
        span = one_decision()
        if exporter.export([span]) is SpanExportResult.SUCCESS:
            assert span.context is not None
            acknowledged.append(f"{span.context.trace_id:032x}-{span.context.span_id:016x}")
    exporter.shutdown()


def one_decision() -> ReadableSpan:
    provider = TracerProvider(resource=Resource({"device.id": "pump-07"}), shutdown_on_exit=False)
    value = decision(inputs={"temperature": 71.5})
    span = provider.get_tracer("t").start_span(
        "decision pump.stop", attributes=encode_decision(value)
    )
    span.end()
    assert isinstance(span, ReadableSpan)
    return span
