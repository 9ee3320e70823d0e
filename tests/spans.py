"""Spans as devices send them, the requests that carry them, and what came of it in a store."""

from __future__ import annotations

import functools
import http.client
import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import duckdb
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, TracesData

from observability.collect.decode import Decoded, decode
from observability.store import lake
from observability.store.location import Store
from traces import Decision, ModelVersion, Outcome, Review
from traces.codec import encode_decision
from traces.codec_later import encode_outcome, encode_review
from traces.decision import Verdict
from traces.otlp import SpanGroup, bare_envelope, key_values
from traces.otlp_json import encode_json

MODEL = ModelVersion("guard", "1.4.0", "sha256:" + "0" * 64)
NOON = 1_767_268_800 * 10**9
"""2026-01-01T12:00:00Z in nanoseconds since 1970."""
PROTOBUF, JSON = "application/x-protobuf", "application/json"
_numbers = itertools.count(1)


def decision(type_: str = "pump.stop", **fields: Any) -> Decision:
    """A plain decision; `fields` override."""
    plain: dict[str, Any] = {"model": MODEL, "action": "run", "disposition": "executed"}
    return Decision(type_, **(plain | fields))


def span(attributes: Mapping[str, Any], name: str = "work", **fields: Any) -> Span:
    """A span of a second, with ids that no other has; `fields` override."""
    number = next(_numbers)
    plain: dict[str, Any] = {
        "trace_id": number.to_bytes(16, "big"),
        "span_id": number.to_bytes(8, "big"),
        "start_time_unix_nano": NOON,
        "end_time_unix_nano": NOON + 10**9,
    }
    return Span(name=name, attributes=key_values(attributes), **(plain | fields))


def decision_span(value: Decision | None = None, **fields: Any) -> Span:
    value = value or decision(inputs={"temperature": 71.5})
    return span(encode_decision(value), f"decision {value.type}", **fields)


def outcome_span(about: Span, label: str = "failed", **fields: Any) -> Span:
    """The outcome of the decision whose span is given."""
    outcome = Outcome(
        about.trace_id.hex(), about.span_id.hex(), label, "sensor", NOON + 3600 * 10**9, 1.0
    )
    return span(encode_outcome(outcome), "decision.outcome", **fields)


def review_span(about: Span, verdict: Verdict = "pass", **fields: Any) -> Span:
    """The review of the decision whose span is given, by its end."""
    ids = about.trace_id.hex(), about.span_id.hex()
    review = Review(*ids, "approval", verdict, "op-3", "seen on site", "stop")
    return span(encode_review(review), "decision.review", **fields)


def group(spans: Iterable[Span], device: str = "pump-07", **attributes: Any) -> SpanGroup:
    """Spans of one device."""
    resource = Resource(
        attributes=key_values({"device.id": device, "service.name": "pump", **attributes})
    )
    return SpanGroup(bare_envelope(ResourceSpans(resource=resource), ScopeSpans()), list(spans), [])


def decoded(*groups: SpanGroup) -> Decoded:
    return decode(groups, origin="otlp", identity="unverified")


def batch(*spans: Span, device: str = "pump-07") -> dict[str, Any]:
    """What the writer takes, of spans of one device; none may be rejected."""
    done = decoded(group(spans, device))
    assert done.reasons == []
    return done.batch()


def protobuf_body(*groups: SpanGroup) -> bytes:
    data = TracesData()
    for each in groups:
        whole = data.resource_spans.add()
        whole.CopyFrom(each.envelope)
        whole.scope_spans[0].spans.extend(each.spans)
    return data.SerializeToString()


def json_body(*groups: SpanGroup) -> bytes:
    return encode_json((each.envelope, each.spans) for each in groups).encode()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def post(
    url: str,
    body: Any,
    content_type: str = PROTOBUF,
    path: str = "/v1/traces",
    method: str = "POST",
    **headers: str,
) -> Answer:
    """Send one request; a body that is no bytes is sent in chunks. Header names have _ for -."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    given = {"Content-Type": content_type} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    try:
        connection.request(method, path, body, given, encode_chunked=not isinstance(body, bytes))
        response = connection.getresponse()
        return Answer(
            response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
        )
    finally:
        connection.close()


def rows(store: Store, query: str) -> list[tuple[Any, ...]]:
    """What a reader beside the writer gets; the connection stays open for the next question."""
    return _reading(store).sql(query).fetchall()


@functools.lru_cache(maxsize=1)
def _reading(store: Store) -> duckdb.DuckDBPyConnection:
    return lake.connect(store)


def counts(store: Store) -> dict[str, int]:
    """Rows of each table that is not empty, but for meta."""
    tables = (
        "decisions",
        "outcomes",
        "reviews",
        "spans",
        "layouts",
        "resources",
        "rejects",
        "conflicts",
    )
    one = "SELECT '{0}' AS name, count(*) AS n FROM {0}"
    arms = " UNION ALL ".join(map(one.format, tables))
    return dict(rows(store, f"FROM ({arms}) WHERE n > 0"))


def columns(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a decoded batch as the reader of a store has it."""
    return {**row, "context": dict(row.get("context") or [])}
