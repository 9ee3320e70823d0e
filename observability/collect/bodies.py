"""OTLP bodies -> the tables of one commit, and an answer to each; here body by body.

`scan/together.py` does the same for many at once, faster, and is held to what is decoded here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa

from observability.collect.clock import ClockSighting, LastBefore, corrected
from observability.collect.decode import decode
from observability.collect.limits import Limits
from observability.collect.recorded import spread
from traces.errors import InvalidPayload, WhenceError
from traces.otlp import SpanGroup, decode_protobuf


class TooManySpans(WhenceError):
    """A request with more spans than one may have."""


@dataclass(frozen=True, slots=True)
class Body:
    """A request, decompressed, when it was received, UTC, and what it tells of its sender's clock.

    `every_s`: its spans were received that often, in recorded time; 0: all at once.
    """

    data: bytes
    received_at: datetime
    clock: ClockSighting | None = None
    every_s: int = 0


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a request is told: how many of its spans were rejected, and why the first one was."""

    rejected: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What is on every row: the way that it came (otlp, import), and how its sender was identified."""

    origin: str
    identity: str


@dataclass(slots=True)
class Decoding:
    """The tables of all bodies, and for each body an answer, or why it is refused whole."""

    answers: list[Accepted | WhenceError]
    parts: dict[str, list[pa.Table]] = field(default_factory=dict)

    def add(self, tables: Mapping[str, pa.Table]) -> None:
        """Put rows behind those that are there."""
        for name, table in tables.items():
            self.parts.setdefault(name, []).append(table)

    def spread(self, bodies: Sequence[Body]) -> None:
        """Put the receipt of spans of recorded time to when each was sent."""
        every_s = {body.received_at: body.every_s for body in bodies if body.every_s}
        for name, parts in self.parts.items() if every_s else ():
            if "end_unix_nano" in parts[0].column_names:
                self.parts[name] = [spread(pa.concat_tables(parts), every_s)]

    def correct(self, bodies: Sequence[Body], last_before: LastBefore) -> None:
        """Put the decisions of devices without a clock to their time."""
        seen = [body.clock for body in bodies if body.clock is not None]
        if seen and "decisions" in self.parts:
            decisions = pa.concat_tables(self.parts["decisions"])
            self.parts["decisions"] = [corrected(decisions, seen, last_before)]

    def tables(self) -> dict[str, pa.Table]:
        """All rows, by table."""
        return {name: pa.concat_tables(parts) for name, parts in self.parts.items()}


def decode_each(bodies: Sequence[Body], stamp: Stamp, limits: Limits) -> Decoding:
    """Decode bodies one after the other. Raises nothing: a bad body fails only itself."""
    decoding = Decoding([])
    for body in bodies:
        try:
            groups = read_groups(body, limits)
        except (InvalidPayload, TooManySpans) as error:
            decoding.answers.append(error)
            continue
        decoded = decode(groups, origin=stamp.origin, identity=stamp.identity, limits=limits)
        decoding.add(decoded.batch(body.received_at))
        decoding.answers.append(answer_to(decoded.reasons))
    return decoding


def read_groups(body: Body, limits: Limits) -> list[SpanGroup]:
    """The groups of a body. Raises InvalidPayload or TooManySpans, where nothing of it may be stored."""
    groups = decode_protobuf(body.data)
    check_spans(groups, limits)
    return groups


def check_spans(groups: Sequence[SpanGroup], limits: Limits) -> None:
    """Raise TooManySpans where one request has more spans than it may."""
    if sum(len(group.spans) + len(group.unread) for group in groups) > limits.spans_per_request:
        raise TooManySpans(f"more than {limits.spans_per_request} spans in one request")


def answer_to(reasons: Sequence[str]) -> Accepted:
    """The answer to a request of whose spans some may have been rejected, for these reasons."""
    return Accepted(len(reasons), reasons[0]) if reasons else Accepted()
