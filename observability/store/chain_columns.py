"""A span's place in its chain as columns of its row, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from traces import codec
from traces.decision import ChainPosition


def chain_columns(chain: ChainPosition | None) -> dict[str, Any]:
    """The columns chain_id, seq and prev; none for a span without a place."""
    if chain is None:
        return {}
    return {"chain_id": chain.chain_id, "seq": chain.seq, "prev": bytes.fromhex(chain.prev)}


def stated_place(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The same columns, of the attributes of any span."""
    if codec.CHAIN_ID not in attributes:
        return {}
    return chain_columns(codec.take_chain(dict(attributes)))


def stored_place(row: Mapping[str, Any]) -> ChainPosition | None:
    """The inverse; None where the row states none, or its store has no such columns yet."""
    if row.get("chain_id") is None:
        return None
    return ChainPosition(row["chain_id"], row["seq"], row["prev"].hex())
