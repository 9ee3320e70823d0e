"""The pieces of a hash chain whose links hold: where two of them touch, the digests decide.

Span i says the head before it (`prev`) and, with its digest, makes the head after it. So a piece is known
by the head before its first number and the head after its last, and pieces join in any order of arrival.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from observability.store.ranges import Range, Ranges, joined
from traces.chain import CHAIN_DOMAIN, ChainHead

NO_HEAD = bytes(32)
"""What the first span of a chain says as the head before it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Sequence numbers without a gap, each of which hashes to what the next one says.

    `prev` and `head` are the chain's heads before and after it, 32 bytes. `signed` is the number of the
    last verified checkpoint in it: the numbers before that one are vouched for by its signature.
    """

    seq_from: int
    seq_to: int
    prev: bytes
    head: bytes
    signed: int | None = None


Pieces = tuple[Piece, ...]
"""Apart from each other, in order."""


def link(chain_id: str, seq: int, prev: bytes, digest: bytes) -> bytes:
    """The head after the span of this number: SHA-256, 32 bytes."""
    return ChainHead(chain_id, seq - 1, prev).next(digest).link


def links(
    chain_id: str, seqs: Sequence[int], prevs: Sequence[bytes], digests: Sequence[bytes]
) -> list[bytes]:
    """The head after each of these spans; as `link`, in a third of its time."""
    start = CHAIN_DOMAIN + chain_id.encode()
    sha256 = hashlib.sha256
    return [
        sha256(start + seq.to_bytes(8, "big") + prev + digest).digest()
        for seq, prev, digest in zip(seqs, prevs, digests, strict=True)
    ]


def folded(chain_id: str, seq_from: int, prev: bytes, digests: bytes) -> bytes:
    """The head after the numbers from `seq_from` whose digests, 32 bytes each, are known."""
    head = prev
    for place in range(len(digests) // 32):
        head = link(chain_id, seq_from + place, head, digests[32 * place : 32 * place + 32])
    return head


def put(pieces: Pieces, new: Piece) -> tuple[Pieces, list[Range]]:
    """The pieces with a new one, and the pairs of neighbours whose link is broken.

    What overlaps a piece that is there is left out: which content a number has was settled first.
    """
    below = [piece for piece in pieces if piece.seq_to < new.seq_from]
    above = [piece for piece in pieces if piece.seq_from > new.seq_to]
    if len(below) + len(above) < len(pieces):
        return pieces, []
    broken: list[Range] = []
    if new.seq_from == 0 and new.prev != NO_HEAD:
        broken.append((0, 0))
    if below and below[-1].seq_to + 1 == new.seq_from:
        if below[-1].head == new.prev:
            new = _together(below.pop(), new)
        else:
            broken.append((new.seq_from - 1, new.seq_from))
    if above and above[0].seq_from == new.seq_to + 1:
        if above[0].prev == new.head:
            new = _together(new, above.pop(0))
        else:
            broken.append((new.seq_to, new.seq_to + 1))
    return (*below, new, *above), broken


def sign(pieces: Pieces, seq: int) -> Pieces:
    """The pieces once the checkpoint of this number is verified."""
    return tuple(
        replace(piece, signed=max(seq, piece.signed or 0))
        if piece.seq_from <= seq <= piece.seq_to
        else piece
        for piece in pieces
    )


def covered(pieces: Pieces) -> Ranges:
    """The numbers that are in a piece."""
    return joined((piece.seq_from, piece.seq_to) for piece in pieces)


def verified(pieces: Pieces) -> Ranges:
    """The numbers that a verified checkpoint vouches for, since their hashes lead to what it signed."""
    return joined(
        (piece.seq_from, piece.signed - 1)
        for piece in pieces
        if piece.signed is not None and piece.signed > piece.seq_from
    )


def _together(lower: Piece, upper: Piece) -> Piece:
    signed = [piece.signed for piece in (lower, upper) if piece.signed is not None]
    return Piece(
        lower.seq_from, upper.seq_to, lower.prev, upper.head, max(signed) if signed else None
    )
