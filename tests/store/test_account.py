"""The account of a chain as a law: whatever arrives in whatever parts and order, the sum is the same."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from observability.store import pieces
from observability.store.account import Account, Event, Spans, arrive, declare, newly_verified, sign
from observability.store.pieces import NO_HEAD, link
from observability.store.ranges import Ranges, joined, missing, shared, size, without
from observability.store.tombstone import Tombstone
from traces.checkpoint import Checkpoint

LENGTH = 30
numbers = st.sets(st.integers(0, LENGTH - 1))
orders = st.randoms(use_true_random=False)


@dataclass(frozen=True)
class Part:
    """Some numbers of the chain, of which `signed` are checkpoints; or a tombstone."""

    seqs: tuple[int, ...] = ()
    tombstone: tuple[int, int] | None = None


def digest(seq: int, content: int = 0) -> bytes:
    return bytes([content, seq]) * 16


def heads() -> list[bytes]:
    found = [NO_HEAD]
    for seq in range(LENGTH):
        found.append(link("c", seq, found[-1], digest(seq)))
    return found


HEADS = heads()


def as_ranges(found: set[int]) -> Ranges:
    return joined((n, n) for n in found)


def as_numbers(ranges: Ranges) -> set[int]:
    return {n for low, high in ranges for n in range(low, high + 1)}


def take(account: Account, part: Part, signed: set[int]) -> tuple[Account, list[Event]]:
    """What one commit does."""
    before = account
    if part.tombstone:
        low, high = part.tombstone
        kept = b"".join(map(digest, range(low, high + 1)))
        account, events = declare(account, Tombstone("c", low, high, kept, ""))
    else:
        seqs = sorted(part.seqs)
        spans = Spans(seqs, [HEADS[seq] for seq in seqs], [digest(seq) for seq in seqs])
        account, events = arrive(account, spans)
        for seq in sorted(signed.intersection(seqs)):
            checkpoint = Checkpoint(0, seq - 1, HEADS[seq], key_id="k")
            account, more = sign(account, seq, checkpoint)
            events += more
    return account, events + newly_verified(before, account)


@given(gone=numbers, dropped=numbers, signed=numbers, parts=st.integers(1, 8), order=orders)
def test_order_and_split_make_no_difference(gone, dropped, signed, parts, order) -> None:
    dropped, signed = dropped - gone, signed - {0} - dropped
    here = sorted(set(range(LENGTH)) - gone - dropped)
    shuffled = order.sample(here, len(here))
    sent = [Part(tuple(shuffled[part::parts])) for part in range(parts)]
    sent += [Part(tombstone=span) for span in as_ranges(dropped)]
    account, events = Account("c"), []
    for part in order.sample(sent, len(sent)):
        account, more = take(account, part, signed)
        events += more
    known = joined(account.arrived, account.lost)
    assert as_numbers(account.arrived) == set(here)
    assert as_numbers(account.lost) == dropped
    assert as_numbers(missing(known)) == {n for n in gone if n < max(as_numbers(known), default=0)}
    assert not [one for one in events if one["kind"] in ("fork", "broken")]
    assert pieces.verified(account.pieces) == expected(gone, dropped, set(here) & signed)
    told = [(one["seq_from"], one["seq_to"]) for one in events if one["kind"] == "verified"]
    assert joined(told) == pieces.verified(account.pieces)
    assert size(told) == size(joined(told))


def expected(gone: set[int], dropped: set[int], signed: set[int]) -> Ranges:
    """From each checkpoint down to the number after a gap. A dropped run whose head is unknown is a gap."""
    unknown = set(gone)
    for low, high in as_ranges(dropped):
        if low - 1 in unknown:
            unknown |= set(range(low, high + 1))
    found: set[int] = set()
    for seq in signed:
        below = seq - 1
        while below >= 0 and below not in unknown:
            found.add(below)
            below -= 1
    return as_ranges(found)


@given(first=numbers, forged=numbers)
def test_another_content_for_a_number_that_arrived_is_a_fork_and_changes_nothing_else(
    first, forged
) -> None:
    account, _ = take(Account("c"), Part(tuple(first)), set())
    seqs = sorted(forged)
    spans = Spans(seqs, [HEADS[seq] for seq in seqs], [digest(seq, 1) for seq in seqs])
    after, events = arrive(account, spans)
    forks = {one["seq_from"] for one in events if one["kind"] == "fork"}
    assert forks == first & forged
    assert as_numbers(after.arrived) == first | forged


@given(content=numbers, other=numbers)
def test_ranges_are_sets(content, other) -> None:
    one, two = as_ranges(content), as_ranges(other)
    assert as_numbers(joined(one, two)) == content | other
    assert as_numbers(without(one, two)) == content - other
    assert as_numbers(shared(one, two)) == content & other
    assert size(one) == len(content)
    assert as_numbers(missing(one)) == set(range(max(content, default=0))) - content
