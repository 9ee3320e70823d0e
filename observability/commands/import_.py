"""`whence import`: OTLP JSON-lines files into the store."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

from tqdm import tqdm

from observability.collect.decode import decode
from observability.collect.receiver import UNVERIFIED
from observability.store.append import append
from observability.store.location import Location
from traces.errors import TraceFileError
from traces.files import read_trace_file
from traces.otlp import SpanGroup

_SPANS_PER_COMMIT = 10_000
_BYTES_PER_COMMIT = 16 << 20


def run(arguments: argparse.Namespace) -> int:
    """Store every span that is not stored yet; exit 1 where some were rejected or conflict.

    Raises TraceFileError, with nothing of that line or later stored, and StoreError.
    """
    store: Location = arguments.store
    total: Counter[str] = Counter()
    for name in arguments.files:
        path = Path(name)
        if not path.is_file():
            raise TraceFileError(f"no file {path}", "an OTLP JSON-lines file")
        waiting: list[SpanGroup] = []
        waiting_bytes = 0
        progress = tqdm(total=path.stat().st_size, unit="B", unit_scale=True, disable=None)
        for size, groups in read_trace_file(path):
            waiting += groups
            waiting_bytes += size
            progress.update(size)
            spans = sum(len(group.spans) for group in waiting)
            if spans >= _SPANS_PER_COMMIT or waiting_bytes >= _BYTES_PER_COMMIT:
                total.update(_store(store, waiting))
                waiting, waiting_bytes = [], 0
        total.update(_store(store, waiting))
        progress.close()
    _report(total, json_=arguments.json)
    return 1 if total["rejects"] or total["conflicts"] else 0


_TOLD = ("decisions", "outcomes", "reviews", "spans")


def _store(store: Location, groups: list[SpanGroup]) -> Counter[str]:
    decoded = decode(groups, origin="import", identity=UNVERIFIED)
    receipt = append(store, decoded.batch())
    return Counter(
        {
            **{name: receipt.stored.get(name, 0) for name in _TOLD},
            "rejects": len(decoded.reasons),
            "repeats": receipt.repeats,
            "conflicts": receipt.conflicts,
        }
    )


def _report(total: Counter[str], *, json_: bool) -> None:
    if json_:
        print(json.dumps(total))
        return
    print(
        f"{total['decisions']:,} decisions, {total['outcomes']:,} outcomes, "
        f"{total['reviews']:,} reviews and "
        f"{total['spans']:,} other spans stored; {total['repeats']:,} were stored already, "
        f"{total['conflicts']:,} conflict, {total['rejects']:,} rejected"
    )
