"""The chains of a fleet's devices: what is missing of them, what was declared lost, what verifies.

Numbers, not times, say what is missing. All of it is as of the newest commit, whatever window a page shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import duckdb
import polars as pl

from observability.store.lake import schema_version
from observability.store.read import frame, one
from traces.decision import ChainPosition

LISTED = 100
"""Gaps that are listed at most, the newest; counts beside them are of all."""
_SINCE_VERSION = 2

_STATUS = """
SELECT *, row_number() OVER (PARTITION BY device_id ORDER BY last_received_at DESC, chain_id) = 1 AS current
FROM chain_status
WHERE $device IS NULL OR device_id = $device
ORDER BY device_id, last_received_at DESC, chain_id
"""

_GAPS = """
SELECT device_id, chain_id, seq_from, seq_to, since
FROM chain_gaps
WHERE $device IS NULL OR device_id = $device
ORDER BY since DESC, device_id, chain_id, seq_from
LIMIT $listed
"""

_KEY = """
SELECT arg_max(detail, received_at) AS key_by FROM chain_events
WHERE kind = 'key' AND device_id = $device
"""

_PLACE = """
SELECT coalesce(bool_or(kind = 'verified'), false) AS verified,
    coalesce(bool_or(kind = 'fork'), false) AS forked,
    coalesce(bool_or(kind = 'broken'), false) AS broken
FROM chain_events
WHERE device_id = $device AND chain_id = $chain AND seq_from <= $seq AND seq_to >= $seq
"""

_LATE_PLACES = """
SELECT block.place, chain_id, min(seq) AS first_seq, max(seq) AS last_seq
FROM decisions JOIN (
    SELECT unnest($places) AS place, unnest($devices) AS device_id,
        unnest($firsts) AS first_at, unnest($lasts) AS last_at
) AS block ON decisions.device_id = block.device_id
    AND decided_at >= CAST(first_at AS TIMESTAMPTZ) AND decided_at <= CAST(last_at AS TIMESTAMPTZ)
WHERE chain_id IS NOT NULL
GROUP BY ALL
"""

Standing = Literal["verified", "not signed yet", "forked", "broken"]


@dataclass(frozen=True, slots=True)
class Chains:
    """The chains of some devices.

    `status`, one row a chain, as the view chain_status, and `current`: it is its device's newest.
    `gaps`, the newest LISTED ranges that are missing: device_id, chain_id, seq_from, seq_to, since.
    """

    status: pl.DataFrame = field(default_factory=pl.DataFrame)
    gaps: pl.DataFrame = field(default_factory=pl.DataFrame)

    def total(self, name: str) -> int:
        """The sum of a count of `status`."""
        return int(self.status[name].sum()) if self.status.height else 0

    @property
    def devices(self) -> int:
        """That number what they send."""
        return self.status["device_id"].n_unique() if self.status.height else 0

    @property
    def suspect(self) -> pl.DataFrame:
        """The chains in which something is not as its device can have sent it."""
        if self.status.is_empty():
            return self.status
        odd = pl.col("forks") + pl.col("broken") + pl.col("bad_signatures") + pl.col("strangers")
        return self.status.filter((odd > 0) | pl.col("claimed_from").is_not_null())


@dataclass(frozen=True, slots=True)
class Place:
    """Where a decision stands in its chain, and whether its content is vouched for."""

    chain: ChainPosition
    standing: Standing


def chains(con: duckdb.DuckDBPyConnection, device_id: str | None = None) -> Chains:
    """The chains of the fleet or of one device; none in a store of before chains."""
    if schema_version(con) < _SINCE_VERSION:
        return Chains()
    asked = {"device": device_id}
    return Chains(
        status=frame(con, _STATUS, asked), gaps=frame(con, _GAPS, {**asked, "listed": LISTED})
    )


def key_trusted_by(con: duckdb.DuckDBPyConnection, device_id: str) -> str | None:
    """How the device's key came to be trusted: `first use` or `handed on`; None where it has none."""
    if schema_version(con) < _SINCE_VERSION:
        return None
    return one(con, _KEY, {"device": device_id})["key_by"]


def place(
    con: duckdb.DuckDBPyConnection, device_id: str, chain: ChainPosition | None
) -> Place | None:
    """The standing of a decision of this place; None where it has none."""
    if chain is None or schema_version(con) < _SINCE_VERSION:
        return None
    found = one(con, _PLACE, {"device": device_id, "chain": chain.chain_id, "seq": chain.seq})
    if found["forked"]:
        return Place(chain, "forked")
    if found["verified"]:
        return Place(chain, "verified")
    return Place(chain, "broken" if found["broken"] else "not signed yet")


def completed(con: duckdb.DuckDBPyConnection, blocks: pl.DataFrame) -> pl.DataFrame:
    """`Late.blocks` with `complete` known by number where the device numbers its decisions.

    A block is complete when no number is missing inside it or right beside it.
    """
    if blocks.is_empty() or schema_version(con) < _SINCE_VERSION:
        return blocks
    asked = {
        "places": list(range(blocks.height)),
        "devices": blocks["device_id"].to_list(),
        "firsts": blocks["first_at"].to_list(),
        "lasts": blocks["last_at"].to_list(),
    }
    numbered = list(frame(con, _LATE_PLACES, asked).iter_rows(named=True))
    gaps = con.execute("SELECT device_id, chain_id, seq_from, seq_to FROM chain_gaps").fetchall()
    complete = blocks["complete"].to_list()
    for number in {row["place"] for row in numbered}:
        own = [row for row in numbered if row["place"] == number]
        complete[number] = not any(
            _touches(gap, blocks["device_id"][number], row) for row in own for gap in gaps
        )
    return blocks.with_columns(pl.Series("complete", complete, pl.Boolean))


def as_text(ranges: Iterable[Mapping[str, Any]], most: int = 3) -> str:
    """Ranges as people write them.

    >>> as_text([{"seq_from": 4112, "seq_to": 4190}, {"seq_from": 7, "seq_to": 7}])
    '7, 4112-4190'
    """
    ordered = sorted((row["seq_from"], row["seq_to"]) for row in ranges)
    said = [str(low) if low == high else f"{low}-{high}" for low, high in ordered]
    return ", ".join(said[:most]) + (f" and {len(said) - most} more" if len(said) > most else "")


def troubles(status: Mapping[str, Any]) -> list[str]:
    """What is not as a chain's device can have sent it, of a row of `Chains.status`."""
    said = (
        (status["forks"], "{} of another content than was here first"),
        (status["broken"], "{} that the next one does not lead back to"),
        (status["bad_signatures"], "{} with a signature that does not hold"),
        (status["strangers"], "{} signed by a key that its own did not hand on to"),
    )
    found = [text.format(_spans(count)) for count, text in said if count]
    other = status["claimed_from"]
    return found if other is None else [*found, f"chain or key of {other}"]


def missing_for(found: Chains, before: datetime) -> pl.DataFrame:
    """The listed gaps that have been known since before then, UTC."""
    return found.gaps if found.gaps.is_empty() else found.gaps.filter(pl.col("since") <= before)


def _touches(gap: tuple[str, str, int, int], device_id: str, row: Mapping[str, Any]) -> bool:
    return (
        gap[:2] == (device_id, row["chain_id"])
        and gap[2] <= row["last_seq"] + 1
        and gap[3] >= row["first_seq"] - 1
    )


def _spans(count: int) -> str:
    return "1 span" if count == 1 else f"{count:,} spans"
