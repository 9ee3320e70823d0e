"""The account of one chain of one device: which numbers arrived, which were declared lost, what verifies.

Values in, values out, with the events that say what changed; the order in which spans and tombstones
arrive makes no difference to the account that they lead to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from observability.store import pieces as chain
from observability.store.pieces import NO_HEAD, Piece, Pieces
from observability.store.ranges import Range, Ranges, joined, shared, without
from observability.store.tombstone import Tombstone
from traces.checkpoint import Checkpoint

Event = dict[str, Any]
"""A row of `chain_events`, without what the whole chain shares."""


@dataclass(frozen=True, slots=True)
class Account:
    """What is known of one chain. `last_at` is when its last decision, of number `last_seq`, was made."""

    chain_id: str
    arrived: Ranges = ()
    lost: Ranges = ()
    pieces: Pieces = ()
    tombstones: tuple[Tombstone, ...] = ()
    last_seq: int = -1
    last_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Spans:
    """Spans of one chain by ascending number; what the device says as head before each, and their digests."""

    seqs: Sequence[int]
    prevs: Sequence[bytes]
    digests: Sequence[bytes]


def event(kind: str, span: Range, **more: Any) -> Event:
    """An event about a range of numbers."""
    return {"kind": kind, "seq_from": span[0], "seq_to": span[1], **more}


def arrive(account: Account, spans: Spans) -> tuple[Account, list[Event]]:
    """The account once these spans are stored, none of which was before.

    Through numbers that a tombstone stands for, the chain goes on by its digests: what comes late there
    has the same, or is a fork.
    """
    spans, events = _without_forks(account, spans)
    if not spans.seqs:
        return account, events
    placed = account.pieces
    through = shared(_runs(spans.seqs), chain.covered(placed))
    events += [event("arrived", span) for span in through]
    for piece in _pieces(account.chain_id, _only(spans, without(_runs(spans.seqs), through))):
        placed, broken = chain.put(placed, piece)
        span = piece.seq_from, piece.seq_to
        events.append(event("arrived", span, prev=piece.prev, head=piece.head))
        events += [event("broken", pair) for pair in broken]
    arrived = joined(account.arrived, _runs(spans.seqs))
    return _fold(replace(account, arrived=arrived, pieces=placed), events)


def declare(account: Account, tombstone: Tombstone) -> tuple[Account, list[Event]]:
    """The account once a tombstone is stored; with digests, the chain goes on through what is lost."""
    span = tombstone.seq_from, tombstone.seq_to
    account = replace(account, lost=joined(account.lost, [span]))
    if tombstone.digests:
        account = replace(account, tombstones=(*account.tombstones, tombstone))
    return _fold(account, [event("lost", span, detail=tombstone.reason)])


def sign(account: Account, seq: int, checkpoint: Checkpoint) -> tuple[Account, list[Event]]:
    """The account once the checkpoint of this number is found to be signed by a key to be trusted."""
    account, lost = declare_all(account, checkpoint.lost)
    signed = event(
        "signed",
        (checkpoint.seq_from, checkpoint.seq_to),
        head=checkpoint.head,
        key_id=checkpoint.key_id,
    )
    return replace(account, pieces=chain.sign(account.pieces, seq)), [signed, *lost]


def declare_all(account: Account, lost: Iterable[Range]) -> tuple[Account, list[Event]]:
    """The account once a checkpoint has declared these ranges lost."""
    declared = joined(span for span in lost if span[0] <= span[1])
    new = without(declared, account.lost)
    account = replace(account, lost=joined(account.lost, new))
    return account, [event("lost", span, detail="checkpoint") for span in new]


def newly_verified(before: Account, after: Account) -> list[Event]:
    """The ranges that verify now and did not."""
    if after.pieces is before.pieces:
        return []
    new = without(chain.verified(after.pieces), chain.verified(before.pieces))
    return [event("verified", span) for span in new]


def _without_forks(account: Account, spans: Spans) -> tuple[Spans, list[Event]]:
    """Without the spans whose number has other content already, and a fork for each of these."""
    runs = _runs(spans.seqs)
    doubtful = joined(
        shared(runs, account.arrived),
        shared(runs, joined((t.seq_from, t.seq_to) for t in account.tombstones)),
    )
    if not doubtful and len(set(spans.seqs)) == len(spans.seqs):
        return spans, []
    kept: list[int] = []
    events: list[Event] = []
    seen: set[int] = set()
    for place, (seq, digest) in enumerate(zip(spans.seqs, spans.digests, strict=True)):
        known = seq in seen or any(low <= seq <= high for low, high in account.arrived)
        if known or _dropped(account, seq) not in (None, digest):
            events.append(event("fork", (seq, seq), digest=digest))
        else:
            kept.append(place)
        seen.add(seq)
    return _at(spans, kept), events


def _dropped(account: Account, seq: int) -> bytes | None:
    """The digest that a tombstone keeps of this number; None where none does."""
    for one in account.tombstones:
        if one.seq_from <= seq <= one.seq_to:
            return _digests(one, seq, seq)
    return None


def _only(spans: Spans, ranges: Ranges) -> Spans:
    """The spans whose numbers are in these ranges."""
    if ranges == _runs(spans.seqs):
        return spans
    places = [
        place
        for place, seq in enumerate(spans.seqs)
        if any(low <= seq <= high for low, high in ranges)
    ]
    return _at(spans, places)


def _at(spans: Spans, places: Sequence[int]) -> Spans:
    return Spans(
        [spans.seqs[place] for place in places],
        [spans.prevs[place] for place in places],
        [spans.digests[place] for place in places],
    )


def _runs(seqs: Sequence[int]) -> Ranges:
    """Ascending numbers as ranges."""
    found: list[Range] = []
    first = last = seqs[0] if seqs else 0
    for seq in seqs:
        if seq > last + 1:
            found.append((first, last))
            first = seq
        last = seq
    return (*found, (first, last)) if seqs else ()


def _pieces(chain_id: str, spans: Spans) -> list[Piece]:
    """The spans as pieces: a new one wherever the number or the head jumps."""
    heads = chain.links(chain_id, spans.seqs, spans.prevs, spans.digests)
    found: list[Piece] = []
    first = 0
    for at in range(1, len(heads) + 1):
        goes_on = (
            at < len(heads)
            and spans.seqs[at] == spans.seqs[at - 1] + 1
            and spans.prevs[at] == heads[at - 1]
        )
        if not goes_on:
            found.append(
                Piece(spans.seqs[first], spans.seqs[at - 1], spans.prevs[first], heads[at - 1])
            )
            first = at
    return found


def _fold(account: Account, events: list[Event]) -> tuple[Account, list[Event]]:
    """Let the chain go on through tombstones wherever the head before them is known."""
    placed = account.pieces
    going_on = bool(_open(account.tombstones, placed))
    while going_on:
        going_on = False
        heads = {piece.seq_to + 1: piece.head for piece in placed} | {0: NO_HEAD}
        for tombstone in account.tombstones:
            for low, high in _open([tombstone], placed):
                if low not in heads:
                    continue
                head = chain.folded(
                    account.chain_id, low, heads[low], _digests(tombstone, low, high)
                )
                placed, broken = chain.put(placed, Piece(low, high, heads[low], head))
                events.append(event("lost", (low, high), prev=heads[low], head=head))
                events += [event("broken", pair) for pair in broken]
                heads[high + 1] = head
                going_on = True
    return replace(account, pieces=placed), events


def _open(tombstones: Iterable[Tombstone], placed: Pieces) -> Ranges:
    """What of the tombstones is in no piece yet."""
    return without(joined((t.seq_from, t.seq_to) for t in tombstones), chain.covered(placed))


def _digests(tombstone: Tombstone, low: int, high: int) -> bytes:
    return tombstone.digests[32 * (low - tombstone.seq_from) : 32 * (high + 1 - tombstone.seq_from)]
