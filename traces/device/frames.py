"""The codec of frames: what one span is on the disk of a device.

A segment is a run of records, `length | crc32 | version | kind | seq | digest | payload`, big-endian.
The first is the segment's header, then come frames and tombstones, the last is its seal. No other
file knows these bytes. Reading stops at the first record that is not whole: what follows a damaged
one cannot be trusted, since its length cannot.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple
from zlib import crc32

VERSION = 1
DIGEST_BYTES = 32
_PREFIX = struct.Struct(">II")
_HEAD = struct.Struct(">BBq")
_LEAST = _HEAD.size
_NO_SEQ = -1
_PRIORITY, _FORM, _DIGEST, _ENCRYPTED = 0x03, 0x0C, 0x10, 0x20


class Priority(IntEnum):
    """Who goes first when the spool is full: telemetry and routine do, oldest first."""

    TELEMETRY = 0
    ROUTINE = 1
    IMPORTANT = 2


class Form(IntEnum):
    """What a record is."""

    FRAME = 0x00
    TOMBSTONE = 0x04
    HEADER = 0x08
    SEAL = 0x0C


@dataclass(frozen=True, slots=True)
class Frame:
    """One span to deliver. `seq` None and `digest` b"" where it belongs to no chain.

    `digest` is the canonical digest of the span (32 bytes, traces.chain), `span` its protobuf bytes.
    """

    priority: Priority
    seq: int | None
    digest: bytes
    span: bytes


class Record(NamedTuple):
    """A record as read: `kind` is its byte, `start` and `end` are offsets in the segment."""

    kind: int
    seq: int | None
    digest: bytes
    payload: bytes
    start: int
    end: int

    @property
    def form(self) -> int:
        """One of Form."""
        return self.kind & _FORM

    @property
    def priority(self) -> int:
        """One of Priority."""
        return self.kind & _PRIORITY

    @property
    def is_encrypted(self) -> bool:
        """Whether the payload needs the spool's key."""
        return bool(self.kind & _ENCRYPTED)


def kind_of(form: Form, priority: Priority, *, encrypted: bool = False) -> int:
    """The kind byte of a record, without what `encode` adds to it."""
    return form | priority | (_ENCRYPTED if encrypted else 0)


def encode(kind: int, seq: int | None, digest: bytes, payload: bytes) -> bytes:
    """One record.

    >>> (record,) = scan(encode(kind_of(Form.FRAME, Priority.ROUTINE), 7, b"", b"span"))
    >>> record.seq, record.payload, record.end
    (7, b'span', 22)
    """
    if digest:
        kind |= _DIGEST
    body = _HEAD.pack(VERSION, kind, _NO_SEQ if seq is None else seq) + digest + payload
    return _PREFIX.pack(len(body), crc32(body)) + body


def scan(data: bytes, offset: int = 0) -> Iterator[Record]:
    """The whole records from an offset on, up to the first that is cut or damaged."""
    size = len(data)
    view = memoryview(data)
    while offset + _PREFIX.size + _LEAST <= size:
        length, check = _PREFIX.unpack_from(data, offset)
        start = offset + _PREFIX.size
        end = start + length
        if length < _LEAST or end > size or crc32(view[start:end]) != check:
            return
        version, kind, seq = _HEAD.unpack_from(data, start)
        payload = start + _LEAST + (DIGEST_BYTES if kind & _DIGEST else 0)
        if version != VERSION or payload > end:
            return
        digest = data[start + _LEAST : payload]
        yield Record(kind, None if seq == _NO_SEQ else seq, digest, data[payload:end], offset, end)
        offset = end


def whole(data: bytes) -> int:
    """How many of these bytes are whole records: where a segment is cut."""
    end = 0
    for record in scan(data):
        end = record.end
    return end
