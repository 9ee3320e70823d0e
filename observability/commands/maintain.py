"""`whence maintain`: everything that keeps a store small and quick, now; by its owner where it is served."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from tqdm import tqdm

from observability.store import lake, maintain
from observability.store.append import MAINTAIN_PATH, ask_owner
from observability.store.location import Location
from observability.store.locks import StoreInUse
from observability.store.maintain_files import ALONE_BYTES, GRACE, Step
from observability.store.maintain_retention import checked_retention
from observability.store.write import Writer

_OWNER_TAKES_S = 3600.0


def run(arguments: argparse.Namespace) -> int:
    """Maintain the store. Raises WrongUse for a short retention without --override, and StoreError."""
    days = checked_retention(arguments.retention_days, override=arguments.override)
    store: Location = arguments.store
    lake.connect(store).close()
    try:
        done = _maintain(store, days)
    except StoreInUse as in_use:
        body = b"" if days is None else str(days).encode()
        try:
            done = ask_owner(store, MAINTAIN_PATH, body, "text/plain", _OWNER_TAKES_S)
        except FileNotFoundError:
            raise in_use from None
    print(json.dumps(done, default=datetime.isoformat) if arguments.json else _said(done))
    return 0


def _maintain(store: Location, days: int | None) -> dict[str, Any]:
    with Writer(store) as writer, maintain.alone(writer):
        with lake.cursor(writer.con) as con:
            done = maintain.begin(con, days)
        _show(maintain.steps(writer, done, step_bytes=ALONE_BYTES))
        maintain.record(writer, done)
    return asdict(done)


def _show(steps: Iterable[Step]) -> None:
    """A bar for each table and what is done to it."""
    bar, at = None, None
    for step in steps:
        if at != (at := (step.what, step.table)):
            if bar is not None:
                bar.close()
            name = f"{step.what} {step.table}".strip()
            bar = tqdm(
                desc=name, total=step.count + step.left, file=sys.stderr, disable=None, unit=""
            )
        if bar is not None:
            bar.update(step.count)
    if bar is not None:
        bar.close()


def _said(done: dict[str, Any]) -> str:
    minutes = round(GRACE.total_seconds() / 60)
    return (
        f"{done['expired']:,} rows older than {done['retention_days']} days removed, "
        f"{done['folded']:,} chain events folded, {done['merged']:,} files merged, "
        f"{_mb(done['bytes_before'])} -> {_mb(done['bytes_after'])}, in {done['seconds']:.1f} s\n"
        f"{done['removed']:,} files left the disk; those of today's run go after {minutes} minutes, "
        "when no reader needs them"
    )


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
