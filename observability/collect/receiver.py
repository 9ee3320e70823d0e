"""OTLP over HTTP: POST /v1/traces, as the specification asks of a server.

Limits hold while the body streams in, before and after decompression. The answer comes when the
spans are durable, and never before.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import zlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict
from datetime import datetime
from http import HTTPStatus
from typing import Any

import duckdb
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from observability.collect.address import is_loopback
from observability.collect.batcher import Batcher, NotDurable, QueueFull
from observability.collect.bodies import (
    Accepted,
    Body,
    Decoding,
    TooManySpans,
    answer_to,
    check_spans,
)
from observability.collect.clock import sighting
from observability.collect.decode import decode
from observability.collect.limits import Limits
from observability.collect.recorded import RECEIVED_AT, Recorded, recorded
from observability.store.append import APPEND_PATH, MAINTAIN_PATH, unpack
from observability.store.maintain import Run
from observability.store.write import Batch, Writer
from traces.errors import InvalidPayload, StoreError, first_line
from traces.otlp_json import decode_json

TRACES_PATH = "/v1/traces"
CLOCK_PATH = "/whence/clock"
PATHS = (TRACES_PATH, APPEND_PATH, CLOCK_PATH, MAINTAIN_PATH)
UNVERIFIED = "unverified"
_log = logging.getLogger("whence.collect")
_PROTOBUF, _JSON = "application/x-protobuf", "application/json"


class _Refused(Exception):
    """An answer other than success; `retry_after` in seconds makes it retryable."""

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.retry_after = status, message, retry_after


class Receiver:
    """Takes spans and handed-over rows and answers when they are durable.

    `refused` counts answers other than success by status code since the start. Who has the writer's
    token may hand over rows, and may say when spans were received: so recorded time comes in.
    """

    def __init__(
        self,
        batcher: Batcher,
        writer: Writer,
        maintain: Callable[[int | None], Run],
        token: str,
        limits: Limits | None = None,
    ) -> None:
        self._batcher, self._writer, self._maintain_store = batcher, writer, maintain
        self._token = token
        self._limits = limits or Limits()
        self.refused: Counter[int] = Counter()

    async def answer(self, path: str, request: Request) -> Response:
        """Answer a request to one of PATHS, in OTLP's form whatever is wrong with it."""
        handle = {
            TRACES_PATH: self._traces,
            APPEND_PATH: self._append,
            CLOCK_PATH: self._keep_time,
            MAINTAIN_PATH: self._maintain,
        }
        try:
            _check_method(request)
            _check_host(request)
            return await handle[path](request)
        except _Refused as refusal:
            self.refused[refusal.status] += 1
            _log.info("refused with %s: %s", refusal.status, refusal.message)
            return _refusal(refusal, _content_type(request))
        except ClientDisconnect:
            return Response(status_code=499)
        except asyncio.CancelledError:  # the server waits no longer for its last requests
            return come_again(request, "a receiver that is being stopped")

    async def _traces(self, request: Request) -> Response:
        """Store the spans of an OTLP request."""
        content_type = _content_type(request)
        if content_type not in (_PROTOBUF, _JSON):
            raise _Refused(
                415, f"found content type {content_type!r}; expected {_PROTOBUF} or {_JSON}"
            )
        received = self._received(request)
        began_ns = self._writer.clock.monotonic_ns()
        body = await self._body(request, self._limits.body_bytes)
        took_us = (self._writer.clock.monotonic_ns() - began_ns) // 1000
        clock = sighting(request.headers, received.received_at, took_us)
        whole = Body(body, received.received_at, clock, received.every_s)
        return _accepted(await self._store(whole, content_type), content_type)

    async def _append(self, request: Request) -> Response:
        """Store rows that another process of this machine hands over, with the writer's token."""
        self._check_token(request)
        body = await self._body(request, self._limits.message_bytes)
        try:
            batch = await asyncio.to_thread(unpack, body, self._writer.now())
            receipt = await self._durable(self._batcher.submit, batch, len(body))
        except (InvalidPayload, NotDurable) as error:
            raise _Refused(400 if isinstance(error, InvalidPayload) else 503, str(error)) from error
        return Response(json.dumps(asdict(receipt)), media_type=_JSON)

    async def _keep_time(self, request: Request) -> Response:
        """Let the store keep real or recorded time from now on."""
        self._check_token(request)
        kind = (await self._body(request, 64)).decode(errors="replace")
        try:
            await asyncio.to_thread(self._writer.keep_time, kind)
        except StoreError as error:
            raise _Refused(409, str(error)) from error
        return Response("{}", media_type=_JSON)

    async def _maintain(self, request: Request) -> Response:
        """Maintain the store now; the body is the retention in days, or empty for what was stated last."""
        self._check_token(request)
        days = (await self._body(request, 64)).decode(errors="replace")
        if days and not days.isdecimal():
            raise _Refused(400, f"found retention {days!r}; expected a number of days")
        try:
            run = await asyncio.to_thread(self._maintain_store, int(days) if days else None)
        except (duckdb.Error, OSError, StoreError) as error:
            raise _Refused(503, first_line(error), retry_after=5) from error
        return Response(json.dumps(asdict(run), default=datetime.isoformat), media_type=_JSON)

    async def _store(self, body: Body, content_type: str) -> Accepted:
        try:
            if content_type == _PROTOBUF:
                return await self._durable(self._batcher.submit_body, body)
            batch, answer = await asyncio.to_thread(self._decoded_json, body)
            if batch:
                await self._durable(self._batcher.submit, batch, len(body.data))
        except NotDurable as error:
            raise _Refused(503, str(error), retry_after=2) from error
        except (InvalidPayload, TooManySpans) as error:
            raise _Refused(400 if isinstance(error, InvalidPayload) else 413, str(error)) from error
        return answer

    def _decoded_json(self, body: Body) -> tuple[Batch, Accepted]:
        groups = decode_json(body.data)
        check_spans(groups, self._limits)
        decoded = decode(groups, origin="otlp", identity=UNVERIFIED, limits=self._limits)
        decoding = Decoding([answer_to(decoded.reasons)])
        decoding.add(decoded.batch(body.received_at))
        decoding.correct([body], self._writer.chains.last_before)
        decoding.spread([body])
        return decoding.tables(), answer_to(decoded.reasons)

    def _received(self, request: Request) -> Recorded:
        given = request.headers.get(RECEIVED_AT)
        if given is None:
            return Recorded(self._writer.now())
        self._check_token(request)
        said = recorded(request.headers)
        if said is None:
            raise _Refused(400, f"found {RECEIVED_AT} {given!r}; expected ISO 8601 with Z")
        return said

    def _check_token(self, request: Request) -> None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            raise _Refused(401, "found no valid token; expected that of writer.json")

    async def _durable(self, submit: Callable[..., Future[Any]], *given: Any) -> Any:
        """What came of a submission; a commit that hangs is waited for no longer than `answer_s`."""
        try:
            future = asyncio.wrap_future(submit(*given))
            return await asyncio.wait_for(future, self._limits.answer_s)
        except QueueFull as error:
            raise _Refused(503, str(error), retry_after=1) from error
        except TimeoutError as error:
            waited = f"found no commit within {self._limits.answer_s:g} s"
            raise _Refused(503, f"{waited}; send it again, a repeat is dropped", 2) from error

    async def _body(self, request: Request, limit: int) -> bytes:
        """The body, of at most `limit` bytes, decompressed."""
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "gzip", ""):
            raise _Refused(415, f"found content encoding {encoding!r}; expected gzip or none")
        expand = _Gunzip(self._limits.message_bytes) if encoding == "gzip" else None
        parts: list[bytes] = []
        received = 0
        async for chunk in request.stream():
            received += len(chunk)
            if received > limit:
                raise _Refused(413, f"found a body over {limit} bytes; send smaller batches")
            parts.append(expand.feed(chunk) if expand else chunk)
        if expand:
            expand.finish()
        return b"".join(parts)


class _Gunzip:
    """Decompresses a stream, of one or more gzip members, up to a number of bytes."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._member = zlib.decompressobj(31)
        self._started = False

    def feed(self, chunk: bytes) -> bytes:
        out = []
        try:
            while chunk:
                if self._member.eof:
                    self._member = zlib.decompressobj(31)
                self._started = True
                data = self._member.decompress(chunk, self._left + 1)
                self._left -= len(data)
                if self._left < 0:
                    raise _Refused(
                        413, "found a body that decompresses over the limit; send smaller batches"
                    )
                out.append(data)
                chunk = self._member.unused_data
        except zlib.error as error:
            raise _Refused(400, f"found a body that is no gzip: {error}") from error
        return b"".join(out)

    def finish(self) -> None:
        if self._started and not self._member.eof:
            raise _Refused(400, "found a gzip body that ends early")


def come_again(request: Request, found: str) -> Response:
    """The answer of a server that begins or ends: nothing was acknowledged, and it may be tried again."""
    return _refusal(_Refused(503, f"found {found}", retry_after=1), _content_type(request))


def _check_method(request: Request) -> None:
    if request.method != "POST":
        raise _Refused(405, f"found {request.method}; expected POST")


def _check_host(request: Request) -> None:
    """Without credentials only this machine may write, whatever name a browser was led to."""
    host = request.headers.get("host", "")
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if not is_loopback(name.removeprefix("[").removesuffix("]")):
        raise _Refused(403, f"found host {host!r}; expected a loopback address")


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _accepted(accepted: Accepted, content_type: str) -> Response:
    answer = ExportTraceServiceResponse()
    if accepted.rejected:
        answer.partial_success.rejected_spans = accepted.rejected
        answer.partial_success.error_message = accepted.reason
    return _response(answer, content_type, 200)


def _refusal(refusal: _Refused, content_type: str) -> Response:
    status = Status(code=_GRPC_CODES.get(refusal.status, 2), message=refusal.message)
    response = _response(status, content_type, refusal.status)
    if refusal.status == HTTPStatus.METHOD_NOT_ALLOWED:
        response.headers["Allow"] = "POST"
    if refusal.retry_after is not None:
        response.headers["Retry-After"] = str(refusal.retry_after)
    return response


def _response(message: Message, content_type: str, status: int) -> Response:
    if content_type == _PROTOBUF:
        return Response(message.SerializeToString(), status, media_type=_PROTOBUF)
    return Response(MessageToJson(message, indent=None), status, media_type=_JSON)


_GRPC_CODES = {400: 3, 401: 16, 403: 7, 405: 12, 413: 8, 415: 3, 503: 14}
