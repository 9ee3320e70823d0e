"""Ships a simulated world as real OTLP requests: its history on recorded time, then its present.

The world prescribes ids and delivery times, so spans are encoded here and not by the SDK. History goes
in quarter-hours of recorded time, several requests at once, so that the receiver commits many together.
"""

from __future__ import annotations

import http.client
import itertools
import json
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from observability.collect.receiver import CLOCK_PATH, RECEIVED_AT, TRACES_PATH
from observability.fleet.shipment import ShipmentError
from observability.fleet.world.event import Event
from observability.fleet.world.world import World
from traces import wire
from traces.codec import encode_decision
from traces.codec_later import encode_outcome
from traces.conventions import DECISION_SPAN_PREFIX, DEVICE_ID, OUTCOME_SPAN
from traces.decision import Decision

_QUARTER_NS = 15 * 60 * 10**9
_IN_FLIGHT = 64
_CONNECTIONS = 32
_LIVE_POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class Link:
    """Where to send, and the writer's token where the receiver may be told recorded times."""

    url: str
    token: str | None = None


def ship_history(
    world: World, events: Iterable[Event], link: Link, progress: Callable[[int], object]
) -> Counter[str]:
    """Send a world's past, received when it was delivered; returns counts by kind of event.

    `progress` is told how many events were acknowledged. Raises ShipmentError where some are not.
    """
    counts: Counter[str] = Counter()
    waiting: deque[Future[int]] = deque()
    with ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="history") as pool:
        for quarter, group in itertools.groupby(
            events, key=lambda e: e.delivered_at_ns // _QUARTER_NS
        ):
            batch = list(group)
            counts.update(
                "decisions" if isinstance(e.body, Decision) else "outcomes" for e in batch
            )
            received_at = _instant((quarter + 1) * _QUARTER_NS - 1)
            waiting.append(pool.submit(_send, world, batch, link, min(received_at, world.end)))
            while len(waiting) >= _IN_FLIGHT:
                progress(waiting.popleft().result())
        for sent in waiting:
            progress(sent.result())
    return counts


def ship_live(world: World, events: Iterator[Event], link: Link) -> Iterator[int]:
    """Send a world's present when it is due; yields how many events each request had. Endless."""
    pending = next(events)
    while True:
        due: list[Event] = []
        now = time.time_ns()
        while pending.delivered_at_ns <= now:
            due.append(pending)
            pending = next(events)
        if due:
            yield _send(world, due, Link(link.url), None)
        time.sleep(_LIVE_POLL_S)


def keep_time(link: Link, kind: str) -> None:
    """Let the receiver's store keep `recorded` or `system` time. Raises ShipmentError if it does not."""
    status, body = _post(link, CLOCK_PATH, kind.encode(), {})
    if status != http.client.OK:
        raise ShipmentError(
            f"{status} from {link.url}: {body[:200]!r}", f"a store that keeps {kind} time"
        )


def span_of(event: Event) -> bytes:
    """The OTLP span of an event, as protobuf bytes."""
    body = event.body
    if isinstance(body, Decision):
        name, attributes, links = DECISION_SPAN_PREFIX + body.type, encode_decision(body), []
    else:
        about = (bytes.fromhex(body.trace_id), bytes.fromhex(body.span_id))
        name, attributes, links = OUTCOME_SPAN, encode_outcome(body), [about]
    return wire.span_bytes(
        trace_id=bytes.fromhex(event.trace_id),
        span_id=bytes.fromhex(event.span_id),
        name=name,
        started_unix_nano=event.started_at_ns,
        ended_unix_nano=event.decided_at_ns,
        attributes=attributes,
        links=links,
    )


def _send(world: World, events: Sequence[Event], link: Link, received_at: datetime | None) -> int:
    """Send events as one request; returns their number once they are durable."""
    headers = {"Content-Type": "application/x-protobuf"}
    if received_at is not None:
        headers[RECEIVED_AT] = received_at.isoformat()
    status, body = _post(link, TRACES_PATH, _request(world, events), headers)
    if status != http.client.OK:
        raise ShipmentError(f"{status} from {link.url}: {body[:200]!r}", "200")
    rejected = ExportTraceServiceResponse.FromString(body).partial_success
    if rejected.rejected_spans:
        raise ShipmentError(
            f"{rejected.rejected_spans} spans rejected: {rejected.error_message}", "none"
        )
    return len(events)


def _request(world: World, events: Sequence[Event]) -> bytes:
    by_device: dict[str, list[Event]] = {}
    for event in events:
        by_device.setdefault(event.device_id, []).append(event)
    return b"".join(
        wire.request_bytes(
            _envelope(world, device_id, own[0].decided_at_ns), [span_of(event) for event in own]
        )
        for device_id, own in by_device.items()
    )


def _envelope(world: World, device_id: str, at_ns: int) -> bytes:
    known = world.resource(device_id, _instant(at_ns))
    return wire.envelope({"service.name": "plant", DEVICE_ID: device_id, **known})


def _post(link: Link, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    address = urlsplit(link.url)
    if link.token is not None:
        headers["Authorization"] = f"Bearer {link.token}"
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    try:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise ShipmentError(f"no answer from {link.url}: {error}", "a running receiver") from error
    finally:
        connection.close()


def _instant(ns: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ns // 1000)


def link_to(store: Path, endpoint: str) -> Link:
    """The link to the receiver that serves a store of this machine, with its writer's token.

    Raises ShipmentError where another process, or none, serves the store.
    """
    try:
        owner = json.loads((store / "writer.json").read_text())
    except OSError as error:
        raise ShipmentError(
            f"no writer.json in {store}", "the store that the receiver serves"
        ) from error
    if owner["url"].rstrip("/") != endpoint.rstrip("/"):
        raise ShipmentError(f"{store} served at {owner['url']}", endpoint, "see --endpoint")
    return Link(owner["url"], owner["token"])
