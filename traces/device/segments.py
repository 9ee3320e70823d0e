"""A segment: one file of the spool, a header that says what all its frames share, and the frames.

The invariant: a name holds the counter, which orders segments over restarts; `generation` changes with
every rewriting, so that a cursor into an earlier content is never applied to a later one.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from traces.device.cipher import Cipher
from traces.device.clock import Clock
from traces.device.frames import Form, Frame, Priority, Record, encode, kind_of, scan
from traces.errors import SpoolError

SUFFIX = ".seg"
_LENGTH = struct.Struct(">I")
_BEGINNING = 8192


@dataclass(frozen=True, slots=True)
class Stamp:
    """When something happened: wall (ns since 1970 UTC) and the monotonic time of a boot (ns)."""

    boot_id: str
    wall_ns: int
    monotonic_ns: int


@dataclass(frozen=True, slots=True)
class Header:
    """What the frames of a segment share.

    Where eviction joined segments, it holds frames of counters up to `through`, and the last one that
    it took in was `absorbed` (-1: none), whose file may still be there after a crash. `envelope` is
    resource and scope (traces.wire.envelope). `reason` is why it was quarantined.
    """

    counter: int
    through: int
    absorbed: int
    generation: int
    chain_id: str
    opened: Stamp
    envelope: bytes
    reason: str = ""


def stamp(clock: Clock) -> Stamp:
    """Now."""
    return Stamp(clock.boot_id, clock.wall_ns(), clock.monotonic_ns())


def file_name(counter: int) -> str:
    """The name of a segment: names sort as the counters do.

    >>> file_name(42)
    '000000000042.seg'
    """
    return f"{counter:012d}{SUFFIX}"


def encode_header(header: Header, cipher: Cipher | None) -> bytes:
    """The first record of a segment. All but the envelope is readable without the key."""
    meta = asdict(header)
    del meta["envelope"]
    text = json.dumps(meta).encode()
    kind = kind_of(Form.HEADER, Priority.IMPORTANT, encrypted=cipher is not None)
    envelope = cipher.encrypt(header.envelope, text) if cipher else header.envelope
    return encode(kind, None, b"", _LENGTH.pack(len(text)) + text + envelope)


def decode_header(record: Record, cipher: Cipher | None) -> Header:
    """The inverse of `encode_header`. Raises SpoolError where the key is another one."""
    text, envelope = _split(record)
    if record.is_encrypted:
        if cipher is None:
            raise SpoolError("an encrypted spool", "its key")
        envelope = cipher.decrypt(envelope, text)
    return _header(json.loads(text), envelope)


def peek(record: Record) -> Header:
    """The header without its envelope, which needs no key."""
    return _header(json.loads(_split(record)[0]), b"")


def encode_seal(at: Stamp) -> bytes:
    """The last record of a segment."""
    kind = kind_of(Form.SEAL, Priority.IMPORTANT)
    return encode(kind, None, b"", json.dumps(asdict(at)).encode())


def encode_frame(frame: Frame, cipher: Cipher) -> bytes:
    """The record of a frame, encrypted; the one in clear is made where frames are appended."""
    kind = kind_of(Form.FRAME, frame.priority, encrypted=True)
    payload = cipher.encrypt(frame.span, _about(frame.seq, frame.digest))
    return encode(kind, frame.seq, frame.digest, payload)


def decode_frame(record: Record, cipher: Cipher | None) -> Frame:
    """The frame of a record. Raises SpoolError where it cannot be decrypted."""
    span = record.payload
    if record.is_encrypted:
        if cipher is None:
            raise SpoolError("an encrypted spool", "its key")
        span = cipher.decrypt(span, _about(record.seq, record.digest))
    return Frame(Priority(record.priority), record.seq, record.digest, span)


def contents(header: Header, records: Iterable[bytes], cipher: Cipher | None) -> bytes:
    """A whole segment file."""
    return b"".join((encode_header(header, cipher), *records))


def rewritten(header: Header, absorbed: Header | None) -> Header:
    """The header of what replaces a segment, and another one that it takes in."""
    more = {"absorbed": absorbed.counter, "through": absorbed.through} if absorbed else {}
    return replace(header, generation=header.generation + 1, **more)


def read(path: Path) -> list[Record]:
    """The whole records of a file, its header first; none where it has none. Raises OSError."""
    records = list(scan(path.read_bytes()))
    return records if records and records[0].form == Form.HEADER else []


def first(path: Path) -> Record | None:
    """The header of a file, which is not read further; None where it has none. Raises OSError."""
    with path.open("rb") as file:
        record = next(scan(file.read(_BEGINNING)), None) or next(scan(path.read_bytes()), None)
    return record if record is not None and record.form == Form.HEADER else None


def _split(record: Record) -> tuple[bytes, bytes]:
    (length,) = _LENGTH.unpack_from(record.payload)
    end = _LENGTH.size + length
    return record.payload[_LENGTH.size : end], record.payload[end:]


def _header(meta: dict[str, Any], envelope: bytes) -> Header:
    return Header(**{**meta, "opened": Stamp(**meta["opened"]), "envelope": envelope})


def _about(seq: int | None, digest: bytes) -> bytes:
    return (b"-" if seq is None else seq.to_bytes(8, "big")) + digest
