"""Requests that are nearly right: real requests with flipped, cut, spliced, repeated and inserted bytes.

Real ones are of the product's sender, of OpenTelemetry's exporter, and of both in OTLP's JSON form; a
mutant is made before compression, after it, or without any. Seeded, so that a number names a body;
receiver_faults.py prints what they were answered.
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import machine
from bodies import sdk_spans, stream
from load import connect, post
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from served import Server

from traces.errors import InvalidPayload
from traces.otlp import decode_protobuf
from traces.otlp_json import encode_json
from traces.wire import request_bytes

SENDERS = 1000
PROTOBUF, JSON = "application/x-protobuf", "application/json"
_EXTREMES = (b"\xff" * 9 + b"\x01", b"\xff\xff\xff\xff\x0f", b"\x00", b"\x80" * 11, b"\x7f")


@dataclass(frozen=True, slots=True)
class Original:
    """A real request: its body and, of protobuf, its spans and the envelope around them."""

    content_type: str
    body: bytes
    envelope: bytes = b""
    spans: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Mutant:
    """A body and what its headers say it is."""

    data: bytes
    headers: dict[str, str]


def send_mutants(server: Server, count: int) -> tuple[Counter[str], list[int]]:
    """Send so many; returns how many were answered what, and the server's memory (MB) after each tenth."""
    real = originals()
    numbers = itertools.count()
    answers: Counter[str] = Counter()
    memory_mb: list[int] = []

    def send() -> None:
        with contextlib.closing(connect(server.url)) as connection:
            while (number := next(numbers)) < count and server.process.poll() is None:
                made = mutant(number, real)
                answers[post(connection, made.data, made.headers)] += 1
                if number % (count // 10) == 0:
                    memory_mb.append(round(server.memory_mb()))
                    machine.say(f"mutant {number:,} of {count:,}: {memory_mb[-1]} MB, {answers}")

    threads = [threading.Thread(target=send) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers, memory_mb


def originals() -> list[Original]:
    """Real requests of one decision to six."""
    ours = [gzip.decompress(body.data) for body in stream("mutant", 60, (1, 3, 6))]
    spans = sdk_spans("mutant-sdk", 40)
    theirs = [encode_spans(spans[at : at + 5]).SerializeToString() for at in range(0, 40, 5)]
    found = []
    for number, body in enumerate((*ours, *theirs)):
        (group,) = decode_protobuf(body)
        inside = tuple(span.SerializeToString() for span in group.spans)
        found.append(Original(PROTOBUF, body, group.envelope.SerializeToString(), inside))
        if number % 3 == 0:
            found.append(Original(JSON, encode_json([(group.envelope, group.spans)]).encode()))
    return found


def mutant(number: int, real: Sequence[Original]) -> Mutant:
    """The mutant of this number. Most of those that no parser takes are made anew: the rest go deeper."""
    chance = random.Random(number)  # noqa: S311
    one = chance.choice(real)
    others = [other.body for other in real if other.content_type == one.content_type]
    body = _inside(chance, one, others)
    while chance.random() < 0.8 and not _parses(one.content_type, body):
        body = _inside(chance, one, others)
    headers = {"Content-Type": one.content_type}
    way = chance.random()
    if way < 0.7:
        return Mutant(body, headers)
    headers["Content-Encoding"] = "gzip"
    if way < 0.95:
        return Mutant(gzip.compress(body, 1, mtime=0), headers)
    packed = gzip.compress(one.body, 1, mtime=0)
    return Mutant(_mutated(chance, packed, [packed]), headers)


def _inside(chance: random.Random, one: Original, others: Sequence[bytes]) -> bytes:
    """A body that is wrong somewhere, most often of protobuf inside one span."""
    if not one.spans or chance.random() < 0.2:
        return _mutated(chance, one.body, others)
    spans = list(one.spans)
    at = chance.randrange(len(spans))
    spans[at] = _mutated(chance, spans[at], spans)
    return request_bytes(one.envelope, spans)


def _parses(content_type: str, body: bytes) -> bool:
    try:
        decode_protobuf(body) if content_type == PROTOBUF else json.loads(body)
    except (InvalidPayload, ValueError):
        return False
    return True


def _mutated(chance: random.Random, body: bytes, others: Sequence[bytes]) -> bytes:
    for _ in range(chance.choice((1, 1, 1, 1, 2, 4))):
        body = chance.choice(_WAYS)(chance, body, others)
    return body


def _flip(chance: random.Random, body: bytes, _: Sequence[bytes]) -> bytes:
    out = bytearray(body)
    for _bit in range(min(chance.choice((1, 1, 2, 8)), len(out))):
        out[chance.randrange(len(out))] ^= 1 << chance.randrange(8)
    return bytes(out)


def _cut(chance: random.Random, body: bytes, _: Sequence[bytes]) -> bytes:
    return body[: chance.randrange(len(body) + 1)]


def _splice(chance: random.Random, body: bytes, others: Sequence[bytes]) -> bytes:
    other = chance.choice(others)
    return body[: chance.randrange(len(body) + 1)] + other[chance.randrange(len(other) + 1) :]


def _repeat(chance: random.Random, body: bytes, _: Sequence[bytes]) -> bytes:
    first, last = sorted((chance.randrange(len(body) + 1), chance.randrange(len(body) + 1)))
    return body[:last] + body[first:]


def _remove(chance: random.Random, body: bytes, _: Sequence[bytes]) -> bytes:
    at = chance.randrange(len(body) + 1)
    return body[:at] + body[at + chance.choice((1, 2, 8, 64)) :]


def _insert(chance: random.Random, body: bytes, _: Sequence[bytes]) -> bytes:
    at = chance.randrange(len(body) + 1)
    return body[:at] + chance.randbytes(chance.choice((1, 2, 8, 64))) + body[at:]


def _overwrite(chance: random.Random, body: bytes, _: Sequence[bytes]) -> bytes:
    at = chance.randrange(len(body) + 1)
    new = chance.choice(_EXTREMES)
    return body[:at] + new + body[at + len(new) :]


Way = Callable[[random.Random, bytes, Sequence[bytes]], bytes]
_WAYS: tuple[Way, ...] = (
    _flip,
    _flip,
    _flip,
    _flip,
    _cut,
    _splice,
    _repeat,
    _remove,
    _insert,
    _overwrite,
)
