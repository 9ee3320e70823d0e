from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable

from hypothesis import assume, given
from hypothesis import strategies as st

from traces.chain import ChainHead
from traces.checkpoint import Checkpoint
from traces.verification import (
    Link,
    Ranges,
    Tombstone,
    Verified,
    joined,
    ranges,
    verify,
    without,
)

CHAIN = "2b1c3e9e-7a55-4a7e-9d0c-6a4a7d1f5f11"
Item = Link | Tombstone | Checkpoint


def digest(seq: int) -> bytes:
    return bytes([seq % 251]) * 32


def told(length: int, every: int) -> tuple[dict[int, Link], list[Checkpoint]]:
    """A chain as a device writes it: each `every` spans one is a checkpoint."""
    links: dict[int, Link] = {}
    checkpoints = []
    head = ChainHead(CHAIN)
    for seq in range(length):
        if seq and seq % every == 0:
            checkpoints.append(
                Checkpoint(max(0, seq - every), seq - 1, head.link, key_id="k", fault="")
            )
        links[seq] = Link(seq, head.link, digest(seq))
        head = head.next(digest(seq))
    return links, checkpoints


def checked(items: Iterable[Item], **options: frozenset[str]) -> Verified:
    return verify(CHAIN, items, **options)


def numbers(of: Ranges) -> set[int]:
    return {number for first, last in of for number in range(first, last + 1)}


@st.composite
def chains(draw: st.DrawFn) -> tuple[dict[int, Link], list[Checkpoint], int]:
    every = draw(st.integers(2, 6))
    links, checkpoints = told(draw(st.integers(every + 1, 30)), every)
    return links, checkpoints, checkpoints[-1].seq_to


SUBSETS = st.sets(st.integers(0, 29), max_size=8)


@given(chains())
def test_a_whole_chain_is_verified_up_to_its_last_checkpoint(
    chain: tuple[dict[int, Link], list[Checkpoint], int],
) -> None:
    links, checkpoints, signed = chain
    found = checked([*links.values(), *checkpoints])
    assert found.verified == ((0, signed),)
    assert found.unsigned == ((signed + 1, len(links) - 1),)
    assert not (found.missing or found.lost or found.altered or found.disagreeing or found.forks)
    assert found.head == ChainHead(CHAIN, signed, checkpoints[-1].head)


@given(chains(), SUBSETS)
def test_what_is_deleted_is_named_exactly(
    chain: tuple[dict[int, Link], list[Checkpoint], int], deleted: set[int]
) -> None:
    links, checkpoints, signed = chain
    left = [link for seq, link in links.items() if seq not in deleted]
    found = checked([*left, *checkpoints])
    top = max([link.seq for link in left] + [signed])
    assert numbers(found.missing) == {seq for seq in deleted if seq <= top}
    assert not found.altered
    assert numbers(found.verified) | numbers(found.unsigned) == {link.seq for link in left}


@given(chains(), st.data())
def test_what_is_altered_under_a_signed_head_is_named_exactly(
    chain: tuple[dict[int, Link], list[Checkpoint], int], data: st.DataObject
) -> None:
    links, checkpoints, signed = chain
    seq = data.draw(st.integers(0, signed))
    field = data.draw(st.sampled_from(["digest", "prev"]))
    forged = dataclasses.replace(links[seq], **{field: b"\xff" * 32})
    found = checked([*(links | {seq: forged}).values(), *checkpoints])
    assert found.altered == ((seq, seq),)
    assert seq not in numbers(found.verified)


@given(chains(), st.data())
def test_what_is_altered_under_no_signed_head_disagrees_with_what_follows(
    chain: tuple[dict[int, Link], list[Checkpoint], int], data: st.DataObject
) -> None:
    links, checkpoints, signed = chain
    assume(len(links) > signed + 2)
    seq = data.draw(st.integers(signed + 1, len(links) - 2))
    forged = dataclasses.replace(links[seq], digest=b"\xff" * 32)
    found = checked([*(links | {seq: forged}).values(), *checkpoints])
    assert found.disagreeing == ((seq + 1, seq + 1),)


@given(chains(), st.data())
def test_a_second_content_of_a_number_is_a_fork_and_the_signed_one_stays_verified(
    chain: tuple[dict[int, Link], list[Checkpoint], int], data: st.DataObject
) -> None:
    links, checkpoints, signed = chain
    seq = data.draw(st.integers(0, signed))
    other = dataclasses.replace(links[seq], digest=b"\xff" * 32)
    found = checked([*links.values(), other, *checkpoints])
    assert found.forks == ((seq, seq),)
    assert found.verified == ((0, signed),)


@given(chains(), SUBSETS, st.randoms())
def test_the_order_and_repetition_of_items_do_not_count(
    chain: tuple[dict[int, Link], list[Checkpoint], int],
    deleted: set[int],
    chance: random.Random,
) -> None:
    links, checkpoints, _ = chain
    items: list[Item] = [link for seq, link in links.items() if seq not in deleted]
    items += [*checkpoints, Link(3, b"\x01" * 32, b"\x02" * 32), Tombstone(1, 2, digest(1) * 2)]
    shuffled = [*items, *chance.choices(items, k=5)]
    chance.shuffle(shuffled)
    assert checked(shuffled) == checked(items)


@given(chains(), SUBSETS)
def test_an_evicted_range_verifies_by_the_digests_of_its_tombstones(
    chain: tuple[dict[int, Link], list[Checkpoint], int], evicted: set[int]
) -> None:
    links, checkpoints, signed = chain
    gone = {seq for seq in evicted if seq < len(links)}
    stones = [
        Tombstone(first, last, b"".join(map(digest, range(first, last + 1))))
        for first, last in ranges(gone)
    ]
    left = [link for seq, link in links.items() if seq not in gone]
    found = checked([*left, *stones, *checkpoints])
    assert found.verified == ((0, signed),)
    assert numbers(found.lost) == gone
    assert not (found.missing or found.altered or found.disagreeing)


def test_a_tombstone_with_other_digests_vouches_for_nothing() -> None:
    links, checkpoints = told(12, 5)
    del links[2]
    found = checked([*links.values(), Tombstone(2, 2, b"\xff" * 32), *checkpoints])
    assert found.verified == ((3, 9),)
    assert found.lost == ((2, 2),)
    assert found.disagreeing == ()


def test_a_tombstone_without_digests_is_a_declared_loss_and_what_is_before_needs_a_head_of_its_own() -> (
    None
):
    links, checkpoints = told(12, 5)
    for seq in (1, 7):
        del links[seq]
    found = checked([*links.values(), Tombstone(1, 1, b""), Tombstone(7, 7, b""), *checkpoints])
    assert found.verified == ((2, 4), (8, 9))
    assert found.unsigned == ((0, 0), (5, 6), (10, 11))
    assert (found.lost, found.missing) == (((1, 1), (7, 7)), ())


def test_without_a_signature_nothing_is_verified_and_the_gaps_are_named_all_the_same() -> None:
    links, checkpoints = told(12, 5)
    del links[4]
    unsigned = [dataclasses.replace(c, fault="no signature") for c in checkpoints]
    found = checked([*links.values(), *unsigned])
    assert (found.verified, found.missing, found.head) == ((), ((4, 4),), None)


def test_a_key_counts_from_the_checkpoint_on_that_announces_it() -> None:
    links, checkpoints = told(16, 5)
    one, two, three = checkpoints
    rotated = [
        dataclasses.replace(one, key_id="a"),
        dataclasses.replace(two, key_id="a", next_key_id="b"),
        dataclasses.replace(three, key_id="b"),
    ]
    found = checked([*links.values(), *rotated])
    assert (found.key_ids, found.strange_keys, found.verified) == (("a", "b"), (), ((0, 14),))
    rotated[1] = dataclasses.replace(two, key_id="a")
    found = checked([*links.values(), *rotated])
    assert (found.key_ids, found.strange_keys, found.verified) == (("a",), ("b",), ((0, 9),))
    found = checked([*links.values(), *rotated], known_keys=frozenset("b"))
    assert (found.key_ids, found.strange_keys, found.verified) == (("b",), ("a",), ((0, 14),))


def test_a_number_out_of_all_bounds_costs_no_memory() -> None:
    links, checkpoints = told(12, 5)
    far = [Link(2**62, b"\x01" * 32, b"\x02" * 32), Tombstone(20, 2**61, b"")]
    found = checked([*links.values(), *checkpoints, *far])
    assert found.missing == ((12, 19), (2**61 + 1, 2**62 - 1))
    assert found.lost == ((20, 2**61),)


def test_nothing_shows_nothing() -> None:
    assert checked([]).verified == checked([]).missing == ()


RANGES = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5)), max_size=5).map(
    lambda pairs: joined((first, first + size) for first, size in pairs)
)


@given(RANGES, RANGES)
def test_ranges_are_sets_of_numbers(one: Ranges, two: Ranges) -> None:
    assert ranges(numbers(one)) == one
    assert without(one, two) == ranges(numbers(one) - numbers(two))
