"""`whence device status`: a spool's status as text or JSON. Needs nothing but the base install."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from traces.device.status import Status, status

_SHOWN = 10


def status_command(arguments: argparse.Namespace) -> int:
    """Print the status of `arguments.folder`, as JSON with `arguments.json`. Raises SpoolError."""
    found = status(Path(arguments.folder))
    text = json.dumps(asdict(found)) if arguments.json else "\n".join(lines(found))
    print(text)  # noqa: T201
    return 0


def lines(found: Status) -> Iterator[str]:
    """The status as lines for a person; times in UTC."""
    ledger = found.ledger
    yield f"spool           {found.folder}"
    frames = sum(item.frames for item in found.pending.values())
    size = sum(item.bytes for item in found.pending.values())
    yield f"pending         {frames:,} frames, {_size(size)}"
    for name, item in found.pending.items():
        if item.frames:
            yield f"  {name:<13} {item.frames:,} frames, {_size(item.bytes)}"
    if frames:
        yield f"oldest pending  {found.oldest_pending_s:,.0f} s"
    yield f"last number     {'none' if found.last_seq is None else found.last_seq}"
    yield f"acknowledged    {ledger.acknowledged:,} frames, last {_when(ledger.acknowledged_at_ns)}"
    if ledger.rejected:
        yield f"rejected        {ledger.rejected:,} frames, kept by the server with a reason"
    yield f"last error      {_error(ledger.error, ledger.error_at_ns)}"
    yield f"tombstoned      {ledger.tombstoned:,} frames"
    ranges = [f"{r.seq_from}-{r.seq_to} of chain {r.chain_id}" for r in found.tombstones]
    yield from _some("  not yet told", ranges)
    if ledger.evicted_unnumbered:
        yield f"evicted         {ledger.evicted_unnumbered:,} frames of no chain"
    yield f"quarantined     {ledger.quarantined:,} frames, {ledger.quarantine_dropped:,} files dropped since"
    refused = [f"{q.chain_id or 'no chain'} {_number(q.seq)}: {q.reason}" for q in found.quarantine]
    yield from _some("  held", refused)
    if ledger.refused or ledger.damaged_bytes:
        yield f"not kept        {ledger.refused:,} frames; {_size(ledger.damaged_bytes)} damaged"
    cuts = [
        f"after number {i.after_seq} of chain {i.chain_id}, found {_when(i.found_at_ns)}: "
        f"{'power or boot ended' if i.boot_ended else 'the process ended'}, {i.cut_bytes} bytes cut"
        for i in ledger.interruptions
    ]
    yield from _some("interrupted", cuts)


def _some(title: str, items: Sequence[str]) -> Iterator[str]:
    for item in items[:_SHOWN]:
        yield f"{title:<15} {item}"
    if len(items) > _SHOWN:
        yield f"{'':<15} and {len(items) - _SHOWN:,} more; --json has them all"


def _error(text: str, at_ns: int) -> str:
    if not text:
        return "none"
    return f"{_when(at_ns)} {text}" if at_ns else text


def _number(seq: int | None) -> str:
    return "unnumbered" if seq is None else f"number {seq}"


def _when(at_ns: int) -> str:
    if not at_ns:
        return "never"
    return datetime.fromtimestamp(at_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _size(number: int) -> str:
    """Bytes with a unit.

    >>> _size(512), _size(1536), _size(64 << 20)
    ('512 B', '1.5 KiB', '64.0 MiB')
    """
    if number < 1024:
        return f"{number} B"
    return f"{number / 1024:.1f} KiB" if number < 1 << 20 else f"{number / (1 << 20):.1f} MiB"
