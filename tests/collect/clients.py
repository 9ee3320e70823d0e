"""OpenTelemetry's own exporters: Python's in this process, Node's in one beside it."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import math
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult

PYTHON = ("python protobuf none", "python protobuf gzip")
NODE = ("node protobuf none", "node protobuf gzip", "node json none", "node json gzip")
_FILES = Path(__file__).with_name("node")


@dataclass(frozen=True)
class Sent:
    """What an exporter made of it; `spans` are id and end, nanoseconds since 1970, of each."""

    device: str
    delivered: bool
    spans: list[tuple[str, int]]


@dataclass(frozen=True)
class Report:
    """What came of each exporter, and what they warned of."""

    sent: list[Sent]
    warnings: list[str]


Spans = Sequence[tuple[str, Mapping[str, Any]]]
"""The name and the attributes of each."""


@dataclass(frozen=True)
class Exporters:
    """Those of a language; `send` sends spans to a URL through all at once, each as its device."""

    devices: Sequence[str]
    send: Callable[[str, Spans], Report]


def send_from_python(url: str, spans: Spans) -> Report:
    def send(device: str) -> Sent:
        compression = device.split()[-1]
        provider = TracerProvider(resource=Resource(_resource(device)), shutdown_on_exit=False)
        made: list[ReadableSpan] = []
        for name, attributes in spans:
            span = provider.get_tracer("matrix").start_span(name, attributes=attributes)
            assert isinstance(span, ReadableSpan)
            span.end()
            made.append(span)
        exporter = OTLPSpanExporter(url, compression=Compression(compression))
        delivered = exporter.export(made) is SpanExportResult.SUCCESS
        exporter.shutdown()
        return Sent(device, delivered, [(_id(span), span.end_time or 0) for span in made])

    with concurrent.futures.ThreadPoolExecutor() as pool:
        return Report(list(pool.map(send, PYTHON)), [])


@contextlib.contextmanager
def node_running(folder: Path) -> Iterator[Exporters]:
    """A process with Node's exporters, which are installed into `folder` unless they are there."""
    wanted, installed = (_FILES / "package.json").read_text(), folder / "installed.json"
    if not installed.exists() or installed.read_text() != wanted:
        (folder / "package.json").write_text(wanted)
        flags = ["--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
        subprocess.run(["npm", "install", *flags], cwd=folder, check=True, timeout=240)
        installed.write_text(wanted)
    shutil.copy(_FILES / "send.mjs", folder)
    with subprocess.Popen(
        ["node", "send.mjs"], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Exporters(NODE, lambda url, spans: _send_from_node(process, url, spans))
        finally:
            process.kill()


def _send_from_node(process: subprocess.Popen[str], url: str, spans: Spans) -> Report:
    job = {
        "url": url,
        "spans": [{"name": name, "attributes": _plain(attributes)} for name, attributes in spans],
        "exporters": [
            dict(zip(("form", "compression"), device.split()[1:], strict=True))
            | {"resource": _resource(device)}
            for device in NODE
        ],
    }
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(job, allow_nan=False) + "\n")
    process.stdin.flush()
    answer = json.loads(process.stdout.readline())
    sent = [
        Sent(
            device,
            each["delivered"],
            [(span["id"], _nanoseconds(*span["end"])) for span in each["spans"]],
        )
        for device, each in zip(NODE, answer["sent"], strict=True)
    ]
    return Report(sent, answer["warnings"])


def _resource(device: str) -> dict[str, str]:
    return {"device.id": device, "service.name": "pump-controller"}


def _plain(value: Any) -> Any:
    """As JSON has it, null for NaN."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _nanoseconds(seconds: int, nanoseconds: int) -> int:
    return seconds * 10**9 + nanoseconds


def _id(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}-{span.context.span_id:016x}"
