"""What leaves a full spool is named, run by run, with its digests."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.spooled import digest, small
from traces.device.eviction import Level, thin
from traces.device.frames import Form, Frame, Priority, Record, encode, kind_of, scan
from traces.device.tombstones import MOST_DIGESTS, Tombstone, decode_tombstone, runs

levels = st.sampled_from([Level.ROUTINE, Level.IMPORTANT, Level.DIGESTS])
priorities = st.lists(st.sampled_from(Priority), max_size=40)


def records(made: list[Frame]) -> list[Record]:
    return list(
        scan(
            b"".join(encode(kind_of(Form.FRAME, f.priority), f.seq, f.digest, f.span) for f in made)
        )
    )


def left(kept: list[bytes]) -> tuple[set[int], list[Tombstone]]:
    found = list(scan(b"".join(kept)))
    numbers = {record.seq for record in found if record.form == Form.FRAME}
    return numbers, [decode_tombstone(r) for r in found if r.form == Form.TOMBSTONE]


@given(priorities, levels)
def test_each_frame_is_kept_or_named(given_: list[Priority], level: Level) -> None:
    made = [small(seq, priority) for seq, priority in enumerate(given_)]
    thinned = thin(records(made), level, 1)
    kept, tombstones = left(thinned.kept)
    gone = {n for t in tombstones for n in range(t.seq_from, t.seq_to + 1)}
    assert kept | gone == set(range(len(made))) and not kept & gone
    assert gone == {n for first, last in thinned.lost for n in range(first, last + 1)}
    if level is Level.ROUTINE:
        assert gone == {f.seq for f in made if f.priority < Priority.IMPORTANT}
    else:
        assert not kept


@given(priorities, levels, levels)
def test_thinning_in_steps_is_thinning_at_once(
    given_: list[Priority], first: Level, second: Level
) -> None:
    made = records([small(seq, priority) for seq, priority in enumerate(given_)])
    steps = thin(scan(b"".join(thin(made, min(first, second), 1).kept)), max(first, second), 1)
    assert steps.kept == thin(made, max(first, second), 1).kept


@given(priorities)
def test_tombstones_keep_the_digests_and_touch_no_other(given_: list[Priority]) -> None:
    made = records([small(seq, priority) for seq, priority in enumerate(given_)])
    _, tombstones = left(thin(made, Level.ROUTINE, 1).kept)
    for tombstone in tombstones:
        numbers = range(tombstone.seq_from, tombstone.seq_to + 1)
        assert tombstone.digests == b"".join(map(digest, numbers))
    ranges = [(t.seq_from, t.seq_to) for t in tombstones]
    assert ranges == runs(ranges)


def test_a_tombstone_stays_within_what_a_receiver_takes_in_one_attribute() -> None:
    made = records([small(seq) for seq in range(MOST_DIGESTS * 2 + 5)])
    _, tombstones = left(thin(made, Level.ROUTINE, 1).kept)
    assert [len(t.digests) // 32 for t in tombstones] == [MOST_DIGESTS, MOST_DIGESTS, 5]
    _, (bare,) = left(thin(made, Level.DIGESTS, 1).kept)
    assert (bare.seq_from, bare.seq_to, bare.digests) == (0, MOST_DIGESTS * 2 + 4, b"")


def test_frames_of_no_chain_are_counted() -> None:
    unnumbered = [Frame(Priority.TELEMETRY, None, b"", b"span")] * 3
    thinned = thin(records([small(0), *unnumbered, small(1)]), Level.ROUTINE, 1)
    assert (thinned.unnumbered, thinned.lost, len(thinned.kept)) == (3, [(0, 1)], 1)
