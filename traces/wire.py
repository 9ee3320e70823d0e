"""OTLP spans as protobuf bytes, written by hand: byte for byte what the protobuf library writes.

A device pays for each decision that it records, and the library for each object that it builds. What
seldom changes (keys, texts, arrays of names) is encoded once and kept, up to a bound. Tags are those of
opentelemetry-proto's trace.proto and common.proto; nobody else writes protobuf by hand.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from traces.conventions import SCHEMA_URL, SCHEMA_VERSION, SCOPE_NAME
from traces.errors import WrongUse

KEPT = 4096
"""How many encoded texts are kept at most; then all are forgotten."""
KEPT_LENGTH = 2048
"""The longest encoded text that is kept, bytes."""

_INT64 = 2**63
_ONE_BYTE = [bytes([n]) for n in range(128)]
_TEXTS = {str}
_NUMBERS = {float}
_DOUBLE = struct.Struct("<cd")
_DOUBLE_ITEM = b"\x0a\x09\x21"
_SCOPE_SPANS = 2
_LENGTH_DELIMITED = 2
_TIMES = struct.Struct("<cQcQ")
_INTERNAL = b"\x30\x01"
_ERROR_STATUS = b"\x7a\x02\x18\x02"
_kept: dict[tuple[str, Any], bytes] = {}


def span_bytes(
    *,
    trace_id: bytes,
    span_id: bytes,
    parent: bytes = b"",
    name: str,
    started_unix_nano: int,
    ended_unix_nano: int,
    attributes: Mapping[str, Any],
    links: Sequence[tuple[bytes, bytes]] = (),
    failed: bool = False,
) -> bytes:
    """One Span message of kind INTERNAL; `links` are (trace id, span id), times nanoseconds UTC.

    Raises WrongUse for a value that OTLP cannot carry.
    """
    return framed_span(
        trace_id,
        span_id,
        parent,
        name,
        (started_unix_nano, ended_unix_nano),
        b"".join([attribute(key, value) for key, value in attributes.items()]),
        link_fields(links),
        failed,
    )


def framed_span(
    trace_id: bytes,
    span_id: bytes,
    parent: bytes,
    name: str,
    times: tuple[int, int],
    attributes: bytes,
    links: bytes = b"",
    failed: bool = False,
) -> bytes:
    """One Span message around attributes and links that are already encoded."""
    if len(trace_id) == 16 and len(span_id) == 8:
        ids = b"".join((b"\x0a\x10", trace_id, b"\x12\x08", span_id))
    else:
        ids = _field(b"\x0a", trace_id) + _field(b"\x12", span_id)
    before = ids + _field(b"\x22", parent) if parent else ids
    status = _ERROR_STATUS if failed else b""
    return b"".join((before, _name(name), _times(*times), attributes, links, status))


def attribute(key: str, value: Any) -> bytes:
    """One attribute of a span, tag included. Raises WrongUse for a value that OTLP cannot carry."""
    kind = type(value)
    if kind is str:
        kept = _kept.get((key, value))
        return _keep(key, value) if kept is None else kept
    if (kind is tuple or kind is list) and set(map(type, value)) == _TEXTS:
        texts = tuple(value)
        kept = _kept.get((key, texts))
        return _keep(key, texts) if kept is None else kept
    if kind is int and -_INT64 <= value < _INT64:
        number = varint(value)
        return _integer_start(key, len(number)) + number
    return _pair(b"\x4a", key, value)


def link_fields(of: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The links of a span, each (trace id, span id)."""
    return b"".join(
        [_message(b"\x6a", _field(b"\x0a", trace) + _field(b"\x12", span)) for trace, span in of]
    )


def envelope(resource: Mapping[str, Any]) -> bytes:
    """A ResourceSpans without spans: resource, and the scope of Whence with its schema.

    Raises WrongUse for a value that OTLP cannot carry.
    """
    attributes = b"".join([_pair(b"\x0a", key, value) for key, value in resource.items()])
    scope = _field(b"\x0a", SCOPE_NAME.encode()) + _field(b"\x12", SCHEMA_VERSION.encode())
    scope_spans = _message(b"\x0a", scope) + _field(b"\x1a", SCHEMA_URL.encode())
    return _message(b"\x0a", attributes) + _message(b"\x12", scope_spans)


def request_bytes(envelope: bytes, spans: Iterable[bytes]) -> bytes:
    """One ExportTraceServiceRequest (or TracesData) of spans that share a resource and a scope.

    `envelope` is a ResourceSpans with one ScopeSpans, as `envelope` or the protobuf library makes it.
    Bodies concatenate to a valid body.
    """
    before, scope, schema, after = _opened(envelope)
    framed = b"".join([b"\x12" + varint(len(span)) + span for span in spans])
    return _message(b"\x0a", before + _message(b"\x12", scope + framed + schema) + after)


def varint(number: int) -> bytes:
    """A base-128 varint of an unsigned or a negative 64-bit integer.

    >>> varint(300).hex(), len(varint(-1))
    ('ac02', 10)
    """
    if 0 <= number < 128:
        return _ONE_BYTE[number]
    if number < 0:
        number += 2**64
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _keep(key: str, value: str | tuple[str, ...]) -> bytes:
    made = _pair(b"\x4a", key, value)
    if len(made) <= KEPT_LENGTH:
        if len(_kept) >= KEPT:
            _kept.clear()
        _kept[key, value] = made
    return made


def _pair(tag: bytes, key: str, value: Any) -> bytes:
    """A KeyValue as a field of the message around it."""
    any_value = _any_value(value)
    return _message(tag, _key(key) + varint(len(any_value)) + any_value)


@functools.lru_cache(KEPT)
def _key(key: str) -> bytes:
    """The key of a KeyValue, and the tag of its value."""
    return _field(b"\x0a", _utf8(key)) + b"\x12"


@functools.lru_cache(KEPT)
def _integer_start(key: str, length: int) -> bytes:
    """An attribute up to its integer, whose varint has that many bytes."""
    return _pair(b"\x4a", key, 2 ** (7 * (length - 1)) if length < 10 else -1)[:-length]


def _any_value(value: Any) -> bytes:
    match value:
        case float():
            return _DOUBLE.pack(b"\x21", value)
        case str():
            return _message(b"\x0a", _utf8(value))
        case bool():
            return b"\x10\x01" if value else b"\x10\x00"
        case int():
            if not -_INT64 <= value < _INT64:
                raise WrongUse(f"the integer {value}", "an integer of 64 bits")
            return b"\x18" + varint(value)
        case None:
            return b""
        case bytes():
            return _message(b"\x3a", value)
        case list() | tuple():
            return _message(b"\x2a", _items(value))
        case Mapping():
            pairs = [_pair(b"\x0a", key, item) for key, item in value.items()]
            return _message(b"\x32", b"".join(pairs))
        case _:
            raise WrongUse(f"a value of type {type(value).__name__}", "one that OTLP can carry")


def _items(values: Sequence[Any]) -> bytes:
    if set(map(type, values)) == _NUMBERS:
        parts: list[Any] = [_DOUBLE_ITEM] * (2 * len(values))
        parts[1::2] = values
        return _doubles(len(values)).pack(*parts)
    return b"".join([_message(b"\x0a", _any_value(value)) for value in values])


@functools.lru_cache(256)
def _doubles(count: int) -> struct.Struct:
    """Items of an ArrayValue: tag, length and inner tag (3 bytes), then the double, each."""
    return struct.Struct("<" + "3sd" * count)


@functools.lru_cache(KEPT)
def _name(name: str) -> bytes:
    """The name of a span, and its kind."""
    return _field(b"\x2a", _utf8(name)) + _INTERNAL


def _times(started: int, ended: int) -> bytes:
    if started and ended:
        return _TIMES.pack(b"\x39", started, b"\x41", ended)
    return b"".join(
        tag + time.to_bytes(8, "little")
        for tag, time in ((b"\x39", started), (b"\x41", ended))
        if time
    )


def _message(tag: bytes, content: bytes) -> bytes:
    return tag + varint(len(content)) + content


def _field(tag: bytes, content: bytes) -> bytes:
    """A field without presence: nothing where it is empty."""
    return tag + varint(len(content)) + content if content else b""


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise WrongUse(f"{text!r:.80}", "text that UTF-8 can carry") from error


@functools.lru_cache(64)
def _opened(envelope: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """An envelope around the place of its spans.

    Returns what comes before its ScopeSpans; that one's scope and schema; what comes after.
    """
    before = scope = schema = after = b""
    for number, field, content in _fields(envelope):
        if number == _SCOPE_SPANS:
            for inner, part, _ in _fields(content):
                scope, schema = (scope + part, schema) if inner == 1 else (scope, schema + part)
        elif number < _SCOPE_SPANS:
            before += field
        else:
            after += field
    return before, scope, schema, after


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """The fields of a message of length-delimited fields: number, whole field, content."""
    at = 0
    while at < len(message):
        tag, begin = _read_varint(message, at)
        length, begin = _read_varint(message, begin)
        if tag & 7 != _LENGTH_DELIMITED or begin + length > len(message):
            raise WrongUse(f"{len(message)} bytes", "a ResourceSpans without spans")
        yield tag >> 3, message[at : begin + length], message[begin : begin + length]
        at = begin + length


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while at < len(data):
        number |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return number, at
    raise WrongUse(f"{len(data)} bytes", "a ResourceSpans without spans")
