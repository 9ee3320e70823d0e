"""What an answer to an OTLP request means: a function over status, headers and body.

The invariant: only a server that speaks OTLP can acknowledge. A captive portal answers 200 with a page, a
login answers 302; neither has the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum
from http.client import responses

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

PROTOBUF = "application/x-protobuf"
LONGEST_RETRY_S = 3600.0
_POISON = frozenset({400, 413, 422})
_LONGEST_WHY = 200


class Verdict(Enum):
    """What to do with the frames of a request."""

    ACKNOWLEDGED = "acknowledged"
    POISON = "poison"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came: header names in lower case.

    `is_whole` is false where nothing says that the body was not cut: no length, no chunks.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """What it means. `rejected` spans the server keeps as rejects; `retry_after_s` is its wish."""

    verdict: Verdict
    why: str = ""
    retry_after_s: float | None = None
    rejected: int = 0


def read_answer(reply: Reply, now_ns: int) -> Answer:
    """Judge a reply received at an instant (ns since 1970 UTC).

    400, 413 and 422 say that something in the request is wrong; everything else that is no valid
    acknowledgement is tried again.

    >>> read_answer(Reply(200, {"content-type": "text/html"}, b"<html>Log in"), 0).why
    "200 with content type 'text/html'; expected application/x-protobuf"
    """
    if reply.status == 200:
        return _acknowledgement(reply)
    why = f"{reply.status} {responses.get(reply.status, '')}".strip()
    if reply.status in _POISON:
        return Answer(Verdict.POISON, why)
    if 300 <= reply.status < 400:
        why += f" to {reply.headers.get('location', '(nowhere)')[:_LONGEST_WHY]}; not followed"
    return Answer(Verdict.LATER, why, _retry_after_s(reply.headers, now_ns))


def _acknowledgement(reply: Reply) -> Answer:
    content_type = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != PROTOBUF:
        found = content_type[:_LONGEST_WHY]
        return Answer(Verdict.LATER, f"200 with content type {found!r}; expected {PROTOBUF}")
    if not reply.is_whole:
        return Answer(Verdict.LATER, "200 without a length; it may be cut short")
    try:
        response = ExportTraceServiceResponse.FromString(reply.body)
    except DecodeError:
        return Answer(Verdict.LATER, "200 with a body that is no OTLP response")
    partial = response.partial_success
    why = " ".join(partial.error_message.split())[:_LONGEST_WHY]
    return Answer(Verdict.ACKNOWLEDGED, why, rejected=max(partial.rejected_spans, 0))


def _retry_after_s(headers: Mapping[str, str], now_ns: int) -> float | None:
    """Seconds or an HTTP date, at most an hour; the date counts from the server's own clock if it says it."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_RETRY_S)
    until = _instant_s(text)
    if until is None:
        return None
    now = _instant_s(headers.get("date", ""))
    seconds = until - (now_ns / 1e9 if now is None else now)
    return min(max(seconds, 0.0), LONGEST_RETRY_S)


def _instant_s(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
