"""Request bodies as a device's sender posts them, made beforehand, so that a load costs little but sending.

Recorder, chain, signed checkpoints, spool and encoder are the product's own. Each call makes devices of
its own; a body holds the spans of one device in their order.
"""

from __future__ import annotations

import gzip
import itertools
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from traces import Gate, ModelVersion
from traces.device import DecisionPoint, Recorder, Spool, keys
from traces.wire import request_bytes

INPUTS, GATES = 20, 3
SIZES = (32, 128, 512)
"""Spans in a request, in turn."""
PROCESSES = 2
_ROOMY = 1 << 30


@dataclass(frozen=True, slots=True)
class Body:
    """A gzip request body and the ids of the decisions in it."""

    data: bytes
    ids: tuple[str, ...]


Stream = Sequence[Body]
"""What one connection sends, in order."""


def streams(
    name: str, devices: int, decisions: int, sizes: Sequence[int] = SIZES
) -> list[list[Body]]:
    """A stream of each of `devices` devices, of `decisions` decisions all together."""
    each = max(decisions // devices, 1)
    with ProcessPoolExecutor(PROCESSES) as pool:
        made = [
            pool.submit(stream, f"{name}-{number}", each, sizes, number)
            for number in range(devices)
        ]
        return [one.result() for one in made]


def stream(device: str, decisions: int, sizes: Sequence[int] = SIZES, turn: int = 0) -> list[Body]:
    """The bodies of one device; `turn` is the size that it begins with."""
    envelope, spans, ids = _recorded(device, decisions)
    cycle = itertools.islice(itertools.cycle(sizes), turn % len(sizes), None)
    bodies = []
    at = 0
    while at < len(spans):
        part = spans[at : at + next(cycle)]
        held = tuple(key for key in map(_span_key, part) if key in ids)
        bodies.append(Body(gzip.compress(request_bytes(envelope, part), 6, mtime=0), held))
        at += len(part)
    return bodies


def sdk_spans(device: str, decisions: int) -> list[ReadableSpan]:
    """The decisions of one device as spans of OpenTelemetry's SDK, for its own exporter."""
    memory = InMemorySpanExporter()
    recorder = Recorder(device_id=device, service="bench", processor=SimpleSpanProcessor(memory))
    for _ in _decide(recorder, device, decisions):
        pass
    return list(memory.get_finished_spans())


def _recorded(device: str, decisions: int) -> tuple[bytes, list[bytes], set[str]]:
    """What the spool of a device hands to its sender: envelope, spans; and the decisions' ids."""
    with tempfile.TemporaryDirectory() as folder:
        Spool(Path(folder), threaded=False).close()
        keys.create(Path(folder))
        spool = Spool(Path(folder), limit_bytes=_ROOMY, durable="none", threaded=False)
        recorder = Recorder(device_id=device, service="bench", spool=spool)
        ids = set(_decide(recorder, device, decisions))
        recorder.shutdown()
        spool.seal()
        envelope, spans = b"", list[bytes]()
        while (batch := spool.take(_ROOMY, _ROOMY)) is not None:
            envelope = batch.envelope
            spans += batch.spans
            spool.sealed.acknowledge(batch)
        spool.close()
    if len(ids) != decisions:
        raise SystemExit(f"{device} recorded {len(ids)} of {decisions} decisions")
    return envelope, spans, ids


def _decide(recorder: Recorder, device: str, decisions: int) -> Iterator[str]:
    """Let a device decide so often; yields the ids."""
    gates = [Gate(f"limit_{n}", f"input_{n}", "<=", 0.9) for n in range(GATES)]
    model = ModelVersion("bench", "1", "sha256:" + "0" * 64)
    score: Callable[[dict[str, float]], float] = lambda inputs: inputs["input_0"]  # noqa: E731
    point = DecisionPoint("bench.act", model, score, 0.5, ("hold", "act"), recorder, gates)
    seeded = random.Random(device)  # noqa: S311
    for _ in range(decisions):
        inputs = {f"input_{n}": round(seeded.random(), 4) for n in range(INPUTS)}
        yield point.decide(inputs, context={"mode": "auto", "site": "a"}).decision_id


def _span_key(span: bytes) -> str:
    """The id of an encoded span, whose first fields are trace id and span id."""
    return f"{span[2:18].hex()}-{span[20:28].hex()}"
