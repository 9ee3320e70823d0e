"""The numbered spans among the new rows of a commit, chain by chain; and what checkpoints and tombstones say.

Costs nothing where no row has a chain: one look at each table's count of nulls.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from observability.store.account import Spans
from observability.store.tombstone import TOMBSTONE, Tombstone, read_tombstone
from traces.checkpoint import Checkpoint, read_checkpoint
from traces.conventions import CHECKPOINT_SPAN
from traces.otlp import attributes_of

_PLACE = pa.schema(
    {
        "device_id": pa.string(),
        "chain_id": pa.string(),
        "seq": pa.int64(),
        "prev": pa.binary(),
        "digest": pa.binary(),
        "received_at": pa.int64(),
        "decided_at": pa.int64(),
    }
)
"""Times as microseconds since 1970 UTC; decided_at only of decisions."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_TIME = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class ChainRows:
    """New spans of one chain of one device; `last_at` is when its last decision, `last_seq`, was made."""

    device_id: str
    chain_id: str
    spans: Spans
    received_at: datetime
    last_seq: int
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class Said:
    """A checkpoint, with its own place in the chain, or a tombstone."""

    device_id: str
    received_at: datetime
    chain_id: str
    seq: int
    prev: bytes
    checkpoint: Checkpoint | None = None
    tombstone: Tombstone | None = None


def chain_rows(stored: Mapping[str, pa.Table]) -> list[ChainRows]:
    """The numbered spans of all tables that have chains, by chain and number."""
    tables = [
        _places(table)
        for table in stored.values()
        if "chain_id" in table.column_names and table["chain_id"].null_count < table.num_rows
    ]
    return list(_by_chain(pa.concat_tables(tables).combine_chunks())) if tables else []


def said(spans: pa.Table) -> list[Said]:
    """What the checkpoints and tombstones among other spans say, by chain and number."""
    names = spans["name"].unique().to_pylist()
    if CHECKPOINT_SPAN not in names and TOMBSTONE not in names:
        return []
    wanted = [name in (CHECKPOINT_SPAN, TOMBSTONE) for name in spans["name"].to_pylist()]
    rows = spans.filter(pa.array(wanted)).to_pylist()
    heard = [one for row in rows if (one := _said(row)) is not None]
    return sorted(heard, key=lambda one: (one.device_id, one.chain_id, one.seq))


def _said(row: Mapping[str, Any]) -> Said | None:
    attributes = attributes_of(Span.FromString(row["rest"]).attributes)
    numbered = row["chain_id"] is not None
    checkpoint = tombstone = None
    if row["name"] == TOMBSTONE:
        tombstone = read_tombstone(attributes)
    elif numbered:
        checkpoint = read_checkpoint(attributes, row["chain_id"])
    if checkpoint is None and tombstone is None:
        return None
    place = (row["chain_id"], row["seq"], row["prev"]) if numbered else ("", -1, b"")
    return Said(row["device_id"], row["received_at"], *place, checkpoint, tombstone)


def _places(table: pa.Table) -> pa.Table:
    """The numbered rows of a table: their place, and when a decision was made."""
    given = [name for name in _PLACE.names if name in table.column_names]
    numbered = table.select(given).filter(table["chain_id"].is_valid())
    if "decided_at" not in given:
        numbered = numbered.append_column("decided_at", pa.nulls(numbered.num_rows, pa.int64()))
    return numbered.cast(_PLACE)


def _by_chain(rows: pa.Table) -> Iterator[ChainRows]:
    codes, names = _chains(rows)
    seqs = rows["seq"].to_numpy()
    order = np.lexsort((seqs, codes))
    rows, codes, seqs = rows.take(pa.array(order)), codes[order], seqs[order]
    prevs, digests = rows["prev"].to_pylist(), rows["digest"].to_pylist()
    received = rows["received_at"].to_numpy()
    decided = rows["decided_at"].fill_null(int(_NO_TIME)).to_numpy()
    cuts = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    for first, end in itertools.pairwise(cuts):
        own = slice(first, end)
        made = np.flatnonzero(decided[own] != _NO_TIME)
        last = first + int(made[-1]) if len(made) else None
        device_id, chain_id = names[codes[first]]
        yield ChainRows(
            device_id,
            chain_id,
            Spans(seqs[own].tolist(), prevs[own], digests[own]),
            _instant(received[own].max()),
            -1 if last is None else int(seqs[last]),
            None if last is None else _instant(decided[last]),
        )


def _chains(rows: pa.Table) -> tuple[np.ndarray, dict[int, tuple[str, str]]]:
    """A code of each row's device and chain, and what the codes stand for."""
    devices = rows["device_id"].combine_chunks().dictionary_encode()
    chains = rows["chain_id"].combine_chunks().dictionary_encode()
    many = len(chains.dictionary)
    codes = devices.indices.to_numpy().astype(np.int64) * many + chains.indices.to_numpy()
    names = {
        code: (devices.dictionary[code // many].as_py(), chains.dictionary[code % many].as_py())
        for code in np.unique(codes).tolist()
    }
    return codes, names


def _instant(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=int(microseconds))
