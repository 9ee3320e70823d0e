"""Outages, as the late decisions of several devices tell of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl


@dataclass(frozen=True, slots=True)
class Spell:
    """Stretches of late decisions that overlap in time, such as those of one outage; times UTC."""

    first_at: datetime
    last_at: datetime
    received_at: datetime
    device_ids: tuple[str, ...]
    decisions: int
    complete: bool


def spells(blocks: pl.DataFrame) -> tuple[Spell, ...]:
    """The rows of `Late.blocks`, those that overlap in time as one, the newest first."""
    found: list[list[dict[str, Any]]] = []
    for row in blocks.sort("first_at", "device_id").iter_rows(named=True):
        if found and row["first_at"] <= max(other["last_at"] for other in found[-1]):
            found[-1].append(row)
        else:
            found.append([row])
    return tuple(_spell(rows) for rows in reversed(found))


def _spell(rows: Sequence[dict[str, Any]]) -> Spell:
    return Spell(
        first_at=min(row["first_at"] for row in rows),
        last_at=max(row["last_at"] for row in rows),
        received_at=max(row["received_at"] for row in rows),
        device_ids=tuple(sorted({row["device_id"] for row in rows})),
        decisions=sum(row["decisions"] for row in rows),
        complete=all(row["complete"] for row in rows),
    )
