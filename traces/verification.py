"""What of a device's chain can be relied on: verified, missing, declared lost, forked, altered, unsigned.

Trust goes backwards: a signed head vouches for the span that it is of, that one's `prev` for the span
before, and so on, down to the first that is missing. No I/O; the order of arrival does not count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from traces.chain import ChainHead
from traces.checkpoint import Checkpoint

Ranges = tuple[tuple[int, int], ...]
"""Numbers as ranges, both ends included, sorted."""

_DIGEST = 32
_ZERO = bytes(_DIGEST)


@dataclass(frozen=True, slots=True)
class Link:
    """A span's place in its chain: its number, the link before, and its own canonical digest."""

    seq: int
    prev: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Numbers that the device evicted; `digests` are theirs, 32 bytes each, or b"" if gone too."""

    seq_from: int
    seq_to: int
    digests: bytes


@dataclass(frozen=True, slots=True)
class Verified:
    """What a chain's items show. Ranges of numbers.

    `verified`: here, or evicted with digests, and under a signed head. `unsigned`: here, and under none;
    the last of them is the tail that no checkpoint covers yet. `missing`: neither here nor declared.
    `lost`: not here, and declared by the device. `altered`: contradicts a signed head. `disagreeing`: its
    `prev` is not the link before, and no signed head says which is right. `forks`: more than one content.
    `head` is the newest that a signature vouches for. `key_ids` signed, in their order; `strange_keys`
    signed too, but no key before announced them, so that nothing relies on them.
    """

    verified: Ranges
    unsigned: Ranges
    missing: Ranges
    lost: Ranges
    altered: Ranges
    disagreeing: Ranges
    forks: Ranges
    head: ChainHead | None
    key_ids: tuple[str, ...]
    strange_keys: tuple[str, ...]
    predecessor: str


def verify(
    chain_id: str,
    items: Iterable[Link | Tombstone | Checkpoint],
    known_keys: frozenset[str] = frozenset(),
) -> Verified:
    """What these items of one chain show, in any order and any number of times.

    `known_keys` are the device's, by id; where there is none, the first key of the chain is taken as its.
    """
    links, evicted, declared, checkpoints = _sorted(items)
    keys, strange, heads = _trusted_heads(checkpoints, known_keys)
    chain = _Chain(chain_id, links, evicted)
    disagreeing = chain.run()
    verified, altered = chain.vouched(heads)
    present = ranges(links)
    named = [*present, *declared, *((c.seq_to, c.seq_to) for c in checkpoints)]
    whole = ((0, max(last for _, last in named)),) if named else ()
    head = max((ChainHead(chain_id, seq, link) for seq, link in heads), default=None)
    return Verified(
        verified=ranges(verified),
        unsigned=ranges(links.keys() - verified - altered),
        missing=without(without(whole, present), declared),
        lost=without(declared, present),
        altered=ranges(altered),
        disagreeing=ranges(disagreeing - verified - altered),
        forks=ranges(chain.forks()),
        head=head,
        key_ids=keys,
        strange_keys=strange,
        predecessor=next((c.predecessor for c in checkpoints if c.predecessor), ""),
    )


def ranges(numbers: Iterable[int]) -> Ranges:
    """Numbers as ranges.

    >>> ranges({3, 1, 2, 7})
    ((1, 3), (7, 7))
    """
    return joined((number, number) for number in numbers)


def joined(of: Iterable[tuple[int, int]]) -> Ranges:
    """Ranges that may touch and overlap, in any order, as ranges."""
    out: list[tuple[int, int]] = []
    for first, last in sorted(of):
        if out and first <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(out[-1][1], last))
        else:
            out.append((first, last))
    return tuple(out)


def without(these: Ranges, those: Ranges) -> Ranges:
    """What of these is not in those.

    >>> without(((0, 9),), ((2, 3), (9, 12)))
    ((0, 1), (4, 8))
    """
    out: list[tuple[int, int]] = []
    at = 0
    for begin, end in these:
        first = begin
        while at < len(those) and those[at][1] < begin:
            at += 1
        while at < len(those) and those[at][0] <= end:
            if those[at][0] > first:
                out.append((first, those[at][0] - 1))
            first = those[at][1] + 1
            if first > end:
                break
            at += 1
        if first <= end:
            out.append((first, end))
    return tuple(out)


@dataclass(slots=True)
class _Chain:
    """Links and evicted digests by number; `heads` are the links that each number can have."""

    chain_id: str
    links: dict[int, set[Link]]
    evicted: dict[int, set[bytes]]
    heads: dict[int, set[bytes]] | None = None

    def run(self) -> set[int]:
        """Compute the heads; returns the numbers that do not agree with the one before."""
        heads = self.heads = {-1: {_ZERO}}
        disagreeing = set()
        for seq in sorted(self.links.keys() | self.evicted.keys()):
            before = heads.get(seq - 1, set())
            own = {link.prev for link in self.links.get(seq, ())}
            heads[seq] = {self.link_at(seq, prev, digest) for prev, digest in self._ways(seq)}
            if own and before and not own & before:
                disagreeing.add(seq)
        return disagreeing

    def vouched(self, trusted: Iterable[tuple[int, bytes]]) -> tuple[set[int], set[int]]:
        """The numbers that trusted heads lead to, and those whose content contradicts one."""
        verified: set[int] = set()
        altered: set[int] = set()
        by_seq: dict[int, set[bytes]] = defaultdict(set)
        for seq, link in trusted:
            by_seq[seq].add(link)
        for seq in sorted(self.links.keys() | self.evicted.keys(), reverse=True):
            for link in by_seq.get(seq, ()):
                prevs = {p for p, d in self._ways(seq) if self.link_at(seq, p, d) == link}
                if prevs:
                    verified.add(seq)
                    by_seq[seq - 1] |= prevs
                elif seq in self.links:
                    altered.add(seq)
        if by_seq.get(-1, {_ZERO}) != {_ZERO}:
            altered.add(0)
        return verified - altered, altered

    def forks(self) -> Iterator[int]:
        """Numbers with more than one content."""
        for seq, links in self.links.items():
            digests = {link.digest for link in links} | self.evicted.get(seq, set())
            if len(links) > 1 or len(digests) > 1:
                yield seq

    def link_at(self, seq: int, prev: bytes, digest: bytes) -> bytes:
        """The chain's link at a number."""
        return ChainHead(self.chain_id, seq - 1, prev).next(digest).link

    def _ways(self, seq: int) -> Iterator[tuple[bytes, bytes]]:
        """The links before and the digests that a number can have."""
        for link in self.links.get(seq, ()):
            yield link.prev, link.digest
        for digest in self.evicted.get(seq, ()):
            for prev in (self.heads or {}).get(seq - 1, ()):
                yield prev, digest


def _sorted(
    items: Iterable[Link | Tombstone | Checkpoint],
) -> tuple[dict[int, set[Link]], dict[int, set[bytes]], Ranges, list[Checkpoint]]:
    links: dict[int, set[Link]] = defaultdict(set)
    evicted: dict[int, set[bytes]] = defaultdict(set)
    declared: list[tuple[int, int]] = []
    checkpoints: set[Checkpoint] = set()
    for item in items:
        if isinstance(item, Link):
            links[item.seq].add(item)
        elif isinstance(item, Checkpoint):
            checkpoints.add(item)
            declared += item.lost
        else:
            declared.append((item.seq_from, item.seq_to))
            if len(item.digests) == _DIGEST * (item.seq_to - item.seq_from + 1):
                for at in range(0, len(item.digests), _DIGEST):
                    seq = item.seq_from + at // _DIGEST
                    evicted[seq].add(item.digests[at : at + _DIGEST])
    ordered = sorted(checkpoints, key=lambda c: (c.seq_to, c.head, c.key_id, c.fault))
    whole = joined((first, last) for first, last in declared if 0 <= first <= last)
    return dict(links), dict(evicted), whole, ordered


def _trusted_heads(
    checkpoints: list[Checkpoint], known_keys: frozenset[str]
) -> tuple[tuple[str, ...], tuple[str, ...], list[tuple[int, bytes]]]:
    """Key ids in their order, those that nobody announced, and the heads that are signed."""
    known = set(known_keys)
    keys: dict[str, None] = {}
    strange: dict[str, None] = {}
    heads = []
    for checkpoint in checkpoints:
        if checkpoint.fault:
            continue
        known = known or {checkpoint.key_id}
        if checkpoint.key_id not in known:
            strange[checkpoint.key_id] = None
            continue
        keys[checkpoint.key_id] = None
        heads.append((checkpoint.seq_to, checkpoint.head))
        if checkpoint.next_key_id:
            known.add(checkpoint.next_key_id)
    return tuple(keys), tuple(strange), heads
