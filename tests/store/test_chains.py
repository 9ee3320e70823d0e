"""Loss accounting: what arrived of a chain, what is missing, what verifies, whatever the order of arrival."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from observability.store.write import Writer
from tests.chains import Chain, key, key_id
from tests.spans import decision, decision_span, decoded, group, rows

STATUS = "SELECT {} FROM chain_status WHERE device_id = 'pump-07'"


def send(writer: Writer, *spans: Span, device: str = "pump-07") -> None:
    """One commit; decoding takes spans apart, so of copies."""
    copies = [Span.FromString(one.SerializeToString()) for one in spans]
    done = decoded(group(copies, device))
    assert done.reasons == []
    writer.write(done.batch())


def status(store: Path, *names: str) -> tuple[Any, ...]:
    (found,) = rows(store, STATUS.format(", ".join(names)))
    return found


def gaps(store: Path) -> list[tuple[int, int]]:
    return rows(store, "SELECT seq_from, seq_to FROM chain_gaps ORDER BY seq_from")


def kinds(store: Path, *wanted: str) -> list[tuple[Any, ...]]:
    found = rows(store, "SELECT kind, seq_from, seq_to FROM chain_events ORDER BY seq_from")
    return [row for row in found if row[0] in wanted]


def test_a_whole_chain_is_here_and_verified_up_to_its_checkpoint(
    store: Path, writer: Writer
) -> None:
    chain = Chain()
    first, *_ = chain.run(5)
    chain.observe(first)
    chain.checkpoint()
    chain.run(2)
    send(writer, *chain.sent)
    assert gaps(store) == []
    assert status(store, "first_seq", "last_seq", "arrived", "missing") == (0, 8, 9, 0)
    assert status(store, "verified", "verified_to", "checkpoint_seq") == (6, 5, 6)
    assert status(store, "unsigned_tail", "lost", "key_id") == (2, 0, key_id(key()))
    (head,) = status(store, "signed_head")
    assert bytes(head).hex() == chain.sent[6].attributes[2].value.string_value


def test_a_deleted_frame_is_named_exactly_and_no_longer_once_it_arrives(
    store: Path, writer: Writer
) -> None:
    chain = Chain()
    chain.run(10)
    chain.checkpoint()
    send(writer, *chain.sent[:4], *chain.sent[5:])
    assert gaps(store) == [(4, 4)]
    assert status(store, "verified") == (5,)
    send(writer, chain.sent[4])
    assert gaps(store) == []
    assert status(store, "verified", "verified_to", "broken") == (10, 9, 0)


def test_a_gap_is_known_since_the_commit_that_showed_it(store: Path, writer: Writer) -> None:
    chain = Chain()
    chain.run(9)
    send(writer, *chain.sent[:3])
    send(writer, *chain.sent[5:7])
    send(writer, *chain.sent[7:])
    ((since, second),) = rows(
        store,
        "SELECT since, (SELECT received_at FROM chain_events WHERE kind = 'arrived' AND seq_from = 5)"
        " FROM chain_gaps",
    )
    assert since == second


def test_repeats_change_nothing(store: Path, writer: Writer) -> None:
    chain = Chain()
    chain.run(3)
    chain.checkpoint()
    send(writer, *chain.sent)
    before = rows(store, "FROM chain_events ORDER BY ALL")
    send(writer, *chain.sent)
    send(writer, *chain.sent[:2])
    assert rows(store, "FROM chain_events ORDER BY ALL") == before


def test_spans_without_a_chain_leave_no_event(store: Path, writer: Writer) -> None:
    send(writer, decision_span())
    assert rows(store, "FROM chain_events") == []


def test_a_forged_span_in_a_place_that_is_taken_is_a_fork_and_both_digests_are_kept(
    store: Path, writer: Writer
) -> None:
    chain = Chain()
    chain.run(6)
    chain.checkpoint()
    forged = chain.forged(2)
    send(writer, *chain.sent)
    send(writer, forged)
    assert kinds(store, "fork") == [("fork", 2, 2)]
    assert status(store, "forks", "verified_to") == (1, 5)
    stored = rows(store, "SELECT digest FROM decisions WHERE seq = 2")
    assert len(set(stored)) == 2
    assert rows(store, "SELECT digest FROM chain_events WHERE kind = 'fork'")[0] in stored


def test_a_fork_inside_one_commit_is_seen_too(store: Path, writer: Writer) -> None:
    chain = Chain()
    chain.run(4)
    send(writer, *chain.sent, chain.forged(1))
    assert kinds(store, "fork") == [("fork", 1, 1)]
    assert status(store, "arrived") == (4,)


def test_other_content_under_the_same_id_is_a_conflict_and_a_fork(
    store: Path, writer: Writer
) -> None:
    chain = Chain()
    chain.run(3)
    other = chain.forged(1)
    other.trace_id, other.span_id = chain.sent[1].trace_id, chain.sent[1].span_id
    send(writer, *chain.sent)
    send(writer, other)
    assert kinds(store, "fork") == [("fork", 1, 1)]
    assert len(rows(store, "FROM conflicts")) == 1


def test_an_altered_span_breaks_the_chain_behind_it_and_nothing_above_it_vouches_for_it(
    store: Path, writer: Writer
) -> None:
    chain = Chain()
    chain.run(3)
    chain.checkpoint()
    chain.run(4)
    chain.checkpoint()
    altered = list(chain.sent)
    altered[5] = chain.forged(5)
    send(writer, *altered)
    assert kinds(store, "broken") == [("broken", 5, 6)]
    verified = rows(store, "SELECT seq_from, seq_to FROM chain_ranges WHERE kind = 'verified'")
    assert sorted(verified) == [(0, 2), (6, 7)]


def test_a_forged_span_that_came_first_is_never_called_verified(
    store: Path, writer: Writer
) -> None:
    chain = Chain()
    chain.run(4)
    chain.checkpoint()
    send(writer, chain.forged(2))
    send(writer, *chain.sent)
    assert kinds(store, "fork") == [("fork", 2, 2)]
    assert {name for name, *_ in kinds(store, "broken")} == {"broken"}
    assert kinds(store, "verified") == [("verified", 3, 3)]


def test_what_a_device_dropped_is_declared_and_the_chain_verifies_through_it(
    store: Path, writer: Writer
) -> None:
    chain = Chain()
    chain.run(8)
    chain.checkpoint(lost=[3, 5])
    send(writer, *chain.sent[:3], *chain.sent[6:])
    assert status(store, "missing", "lost", "verified") == (0, 3, 2)
    send(writer, chain.tombstone(3, 5))
    assert status(store, "missing", "lost", "arrived", "verified") == (0, 3, 6, 8)


def test_a_tombstone_that_comes_before_its_neighbours_is_not_forgotten(
    store: Path, writer: Writer
) -> None:
    chain = Chain()
    chain.run(8)
    chain.checkpoint()
    send(writer, chain.tombstone(3, 5))
    send(writer, *chain.sent[6:])
    assert status(store, "missing", "verified") == (3, 2)
    writer.close()
    with Writer(store) as again:
        send(again, *chain.sent[:3])
    assert status(store, "missing", "verified", "broken") == (0, 8, 0)


def test_what_was_declared_lost_and_comes_after_all_has_arrived(
    store: Path, writer: Writer
) -> None:
    chain = Chain()
    chain.run(8)
    chain.checkpoint()
    send(writer, *chain.sent[:3], chain.tombstone(3, 5), *chain.sent[6:])
    send(writer, chain.sent[4])
    assert status(store, "missing", "lost", "arrived", "verified", "forks") == (0, 2, 7, 8, 0)
    send(writer, chain.forged(3))
    assert status(store, "lost", "arrived", "forks") == (2, 7, 1)


def test_a_tombstone_without_digests_declares_but_proves_nothing(
    store: Path, writer: Writer
) -> None:
    chain = Chain()
    chain.run(5)
    chain.checkpoint()
    send(writer, chain.sent[0], chain.tombstone(1, 2, digests=False), *chain.sent[3:])
    assert status(store, "missing", "lost", "verified") == (0, 2, 2)


def test_a_bad_signature_verifies_nothing_and_is_named(store: Path, writer: Writer) -> None:
    chain = Chain()
    chain.run(3)
    chain.checkpoint(forge=True)
    send(writer, *chain.sent)
    assert status(store, "bad_signatures", "verified", "key_id") == (1, 0, None)
    assert rows(store, "FROM chain_events WHERE kind = 'key'") == []


def test_a_checkpoint_over_another_head_is_named(store: Path, writer: Writer) -> None:
    chain = Chain()
    chain.run(3)
    kept, chain.head = chain.head, b"x" * 32
    chain.checkpoint()
    chain.head = kept
    other = chain.sent.pop()
    next(
        p for p in other.attributes if p.key == "decision.chain.prev"
    ).value.string_value = kept.hex()
    send(writer, *chain.sent, other)
    assert status(store, "bad_signatures", "verified") == (1, 0)


def test_the_first_key_is_pinned_and_another_one_is_a_stranger(store: Path, writer: Writer) -> None:
    chain = Chain()
    chain.run(2)
    chain.checkpoint()
    chain.key = key(2)
    chain.run(2)
    chain.checkpoint()
    send(writer, *chain.sent)
    assert status(store, "strangers", "verified_to", "key_id") == (1, 1, key_id(key()))
    assert rows(store, "SELECT detail FROM chain_events WHERE kind = 'key'") == [("first use",)]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in order", "out of order"])
def test_a_key_that_the_pinned_one_hands_on_to_is_trusted(
    store: Path, writer: Writer, order: tuple[int, int]
) -> None:
    chain = Chain()
    chain.run(2)
    chain.checkpoint()
    send(writer, *chain.sent)
    chain.run(2)
    chain.checkpoint(following=key(2))
    handed = chain.sent[3:]
    chain.run(2)
    chain.checkpoint()
    parts = handed, chain.sent[6:]
    for place in order:
        send(writer, *parts[place])
    assert status(store, "strangers", "verified_to") == (0, 7)


def test_a_retired_key_signs_nothing_new(store: Path, writer: Writer) -> None:
    chain = Chain()
    chain.run(2)
    chain.checkpoint(following=key(2))
    chain.key = key(1)
    chain.run(2)
    chain.checkpoint()
    send(writer, *chain.sent)
    assert status(store, "strangers", "verified_to") == (1, 1)


def test_a_writer_that_opens_again_goes_on_with_key_heads_and_gaps(
    store: Path, writer: Writer
) -> None:
    chain = Chain()
    chain.run(6)
    chain.checkpoint(following=key(2))
    send(writer, *chain.sent[:2], *chain.sent[4:])
    writer.close()
    chain.run(2)
    chain.checkpoint()
    with Writer(store) as again:
        send(again, *chain.sent[2:4])
        send(again, *chain.sent[7:], chain.forged(3))
    assert status(store, "missing", "verified_to", "strangers", "forks") == (0, 8, 0, 1)


def test_a_device_that_claims_anothers_chain_is_named(store: Path, writer: Writer) -> None:
    chain = Chain()
    chain.run(2)
    chain.checkpoint()
    send(writer, *chain.sent)
    send(writer, *chain.sent, device="pump-08")
    found = rows(
        store, "SELECT device_id, detail FROM chain_events WHERE kind = 'claimed' ORDER BY ALL"
    )
    assert set(found) == {("pump-08", "pump-07")}
    assert status(store, "forks", "claimed_from") == (0, None)


def test_a_chain_that_goes_on_from_another_names_it(store: Path, writer: Writer) -> None:
    old = Chain()
    old.run(3)
    old.checkpoint()
    new = Chain("c-2")
    new.run(1)
    new.checkpoint(predecessor="c-1")
    send(writer, *old.sent)
    send(writer, *new.sent)
    assert rows(
        store, "SELECT chain_id, predecessor FROM chain_status WHERE predecessor IS NOT NULL"
    ) == [("c-2", "c-1")]


def test_a_seq_beyond_all_measure_is_only_a_large_gap(store: Path, writer: Writer) -> None:
    chain = Chain()
    chain.run(2)
    far = next(p for p in chain.sent[1].attributes if p.key == "decision.chain.seq")
    far.value.int_value = 2**63 - 1
    send(writer, *chain.sent)
    assert gaps(store) == [(1, 2**63 - 2)]


def scenario() -> list[Span]:
    """40 numbers with outcomes and checkpoints; 10 to 12 are dropped with a tombstone, 20 and 21 vanish."""
    chain = Chain()
    for step in range(40):
        if step % 10 == 9:
            chain.checkpoint()
        elif step % 7 == 6:
            chain.observe(chain.sent[0])
        else:
            chain.decide(decision(inputs={"t": float(step)}))
    gone = {*range(10, 13), 20, 21}
    sent = [one for seq, one in enumerate(chain.sent) if seq not in gone]
    return [*sent, chain.tombstone(10, 12)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_any_split_order_and_restart_leads_to_the_same_account(store: Path, seed: int) -> None:
    sent = scenario()
    shuffled = sorted(sent, key=lambda one: (one.span_id[-1] * 31 * seed) % 41)
    for part in range(3):
        with Writer(store) as writer:
            send(writer, *shuffled[part::3])
    assert gaps(store) == [(20, 21)]
    assert status(store, "arrived", "lost", "missing", "broken", "forks") == (35, 3, 2, 0, 0)
    verified = rows(
        store,
        "SELECT seq_from, seq_to FROM chain_ranges WHERE kind = 'verified' ORDER BY seq_from",
    )
    assert verified == [(0, 18), (22, 38)]
