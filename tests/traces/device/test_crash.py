"""A crash at any instant: what the spool promised before it still holds after it.

What process death leaves is the folder as it is: a copy of it, opened, is the restarted device.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.spooled import CHAIN, ENVELOPE, Arrived, empty, small
from traces.device import RecordedClock
from traces.device.frames import Priority
from traces.device.sealed import Batch
from traces.device.spool import LEAST_LIMIT, Spool

RANDOM = random.Random(4)  # noqa: S311


def copied(folder: Path, number: int = 0) -> Path:
    return shutil.copytree(folder, folder.with_name(f"copy{number}"))


steps = st.one_of(
    st.tuples(st.just("append"), st.lists(st.sampled_from(Priority), min_size=1, max_size=40)),
    st.tuples(st.sampled_from(["seal", "evict", "maintain", "crash", "close", "begin"]), st.none()),
    st.tuples(st.sampled_from(["send", "lose"]), st.integers(1, 30)),
)


class Device:
    """A spool, what was appended to it and what a server has of that."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.copies = folder, 0
        self.arrived, self.told, self.count = Arrived(), set[int](), 0
        self._open()

    def append(self, priorities: list[Priority]) -> None:
        for priority in priorities:
            self.spool.append(small(self.count, priority))
            self.count += 1

    def seal(self, _: None) -> None:
        self.spool.seal()

    def maintain(self, _: None) -> None:
        self.spool.maintain()

    def evict(self, _: None) -> None:
        self.spool.sealed.evict()

    def begin(self, _: None) -> None:
        self.spool.begin(ENVELOPE + bytes([0x1A, 1, 65 + self.count % 3]), CHAIN)

    def send(self, most: int) -> None:
        if batch := self._taken(most):
            self.spool.sealed.acknowledge(batch)

    def lose(self, most: int) -> None:
        """The server takes them and its answer is lost."""
        if batch := self._taken(most):
            self.told |= {record.seq for record in batch.records if record.digest}
            self.spool.sealed.release()

    def close(self, _: None) -> None:
        self.spool.close()
        self._open()

    def crash(self, _: None) -> None:
        before, self.copies = self.spool, self.copies + 1
        self.folder = copied(self.folder, self.copies)
        self._open()
        before.close()

    def _taken(self, most: int) -> Batch | None:
        self.spool.seal()
        batch = self.spool.take(1 << 20, most)
        if batch is not None:
            self.arrived.take(batch)
        return batch

    def _open(self) -> None:
        self.spool = Spool(self.folder, limit_bytes=LEAST_LIMIT, threaded=False)
        self.spool.begin(ENVELOPE, CHAIN)


@given(st.lists(steps, max_size=25))
def test_any_interleaving_of_appending_evicting_sending_and_crashing_loses_and_doubles_nothing(
    tmp_path_factory: pytest.TempPathFactory, plan: list
) -> None:
    device = Device(tmp_path_factory.mktemp("any") / "spool")
    for step, what in plan:
        getattr(device, step)(what)
    last = device.spool.last
    assert (None if last is None else last.seq) == (device.count - 1 if device.count else None)
    empty(device.spool, device.arrived)
    arrived = set(device.arrived.frames)
    assert arrived | device.arrived.buried == set(range(device.count))
    assert arrived & device.arrived.buried <= device.told
    device.spool.close()
    shutil.rmtree(device.folder.parent)


class Snapshots:
    """A copy of the folder before each change of its files, once `begin` was called."""

    def __init__(self, folder: Path, into: Path) -> None:
        self.folder, self.into, self.taken = folder, into, list[Path]()
        self.active = False
        sys.addaudithook(self._heard)

    def _heard(self, event: str, arguments: tuple) -> None:
        if not self.active or event not in ("os.rename", "os.remove", "os.truncate", "open"):
            return
        if str(arguments[0]).startswith(str(self.folder)):
            self.active = False
            self.taken.append(shutil.copytree(self.folder, self.into / str(len(self.taken))))
            self.active = True


@contextmanager
def watched(folder: Path, into: Path) -> Iterator[list[Path]]:
    snapshots = Snapshots(folder, into)
    snapshots.active = True
    try:
        yield snapshots.taken
    finally:
        snapshots.active = False


def test_a_crash_between_any_two_changes_of_files_loses_nothing(tmp_path: Path) -> None:
    """Evicting, joining small segments, moving the cursor and deleting, cut at each of their steps."""
    folder = tmp_path / "spool"
    with Spool(folder, limit_bytes=LEAST_LIMIT, threaded=False) as spool:
        spool.begin(ENVELOPE, CHAIN)
        for seq in range(200):
            spool.append(small(seq, Priority.IMPORTANT if seq % 20 == 0 else Priority.ROUTINE))
        spool.seal()
        with watched(folder, tmp_path) as taken:
            arrived = Arrived()
            for most in (5, 7):
                batch = spool.take(1 << 20, most)
                assert batch is not None
                arrived.take(batch)
                spool.sealed.acknowledge(batch)
            for _ in range(8):
                spool.sealed.evict()
            empty(spool, arrived, most=40)
    assert len(taken) > 80
    for snapshot in taken:
        with Spool(snapshot, limit_bytes=LEAST_LIMIT) as spool:
            left = Arrived()
            assert spool.last == small(199)
            empty(spool, left)
        named = left.buried | arrived.buried
        assert set(left.frames) | named | set(arrived.frames) == set(range(200))
        assert not set(left.frames) & left.buried
        shutil.rmtree(snapshot)


@pytest.mark.parametrize("damage", ["cut", "garble", "zeros"])
def test_an_open_segment_damaged_at_any_place_keeps_what_is_whole(
    tmp_path: Path, damage: str
) -> None:
    with Spool(tmp_path / "spool", threaded=False) as spool:
        spool.begin(ENVELOPE, CHAIN)
        ends = []
        for seq in range(20):
            spool.append(small(seq, size=30))
            ends.append((tmp_path / "spool/open/000000000000.seg").stat().st_size)
        original = copied(tmp_path / "spool")
    for number in range(60):
        folder = shutil.copytree(original, tmp_path / f"damaged{number}")
        path = folder / "open" / "000000000000.seg"
        data = path.read_bytes()
        at = RANDOM.randrange(len(data))
        tail = {
            "cut": b"",
            "garble": RANDOM.randbytes(len(data) - at),
            "zeros": bytes(len(data) - at),
        }[damage]
        path.write_bytes(data[:at] + tail)
        whole = sum(end <= at for end in ends)
        clock = replace_boot(RecordedClock(10**18))
        with Spool(folder, clock=clock) as spool:
            spool.begin(ENVELOPE, CHAIN)
            assert spool.last == (small(whole - 1, size=30) if whole else None)
            (interruption,) = spool.state.ledger.interruptions
            assert interruption.after_seq == whole - 1 and interruption.boot_ended
            spool.append(small(whole, size=30))
            arrived = Arrived()
            empty(spool, arrived)
        assert arrived.order == list(range(whole + 1))


def replace_boot(clock: RecordedClock) -> RecordedClock:
    clock.boot_id = "another boot"
    return clock


def test_the_end_of_a_process_alone_is_no_interruption(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool", threaded=False) as spool:
        spool.begin(ENVELOPE, CHAIN)
        spool.append(small(0))
        killed = copied(tmp_path / "spool")
    with Spool(killed) as spool:
        assert spool.state.ledger.interruptions == []
        assert spool.last == small(0)
    with Spool(tmp_path / "spool", clock=replace_boot(RecordedClock(10**18))) as spool:
        assert spool.state.ledger.interruptions == []


def test_a_boot_that_ended_is_named_even_where_nothing_is_left_of_its_frames(
    tmp_path: Path,
) -> None:
    with Spool(tmp_path / "spool", threaded=False) as spool:
        spool.begin(ENVELOPE, CHAIN)
        spool.append(small(0))
        spool.seal()
        spool.append(small(1))
        lost = copied(tmp_path / "spool")
    shutil.rmtree(lost / "open")
    with Spool(lost, clock=replace_boot(RecordedClock(10**18))) as spool:
        (interruption,) = spool.state.ledger.interruptions
        assert replace(interruption, found_at_ns=0).after_seq == 0
        assert (interruption.boot_ended, interruption.cut_bytes) == (True, 0)


def test_frames_that_power_loss_took_from_between_others_are_named(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool", limit_bytes=LEAST_LIMIT, threaded=False) as spool:
        spool.begin(ENVELOPE, CHAIN)
        for seq in range(60):
            spool.append(small(seq))
        lost = copied(tmp_path / "spool")
    paths = sorted((lost / "open").iterdir())
    assert len(paths) > 3
    paths[1].unlink()
    with Spool(lost, clock=replace_boot(RecordedClock(10**18))) as spool:
        spool.begin(ENVELOPE, CHAIN)
        (interruption,) = spool.state.ledger.interruptions
        ((first, last),) = interruption.missing
        assert spool.lost() == ((first, last),) and interruption.after_seq == 59
        arrived = Arrived()
        empty(spool, arrived)
        assert arrived.order == [n for n in range(60) if not first <= n <= last]
    with Spool(lost) as spool:
        assert spool.state.ledger.interruptions == [interruption]


APPEND = """if True:
    import sys
    from pathlib import Path
    from tests.spooled import CHAIN, ENVELOPE, small
    from traces.device.frames import Priority
    from traces.device.spool import Spool
    spool = Spool(Path(sys.argv[1]), limit_bytes=1 << 18, durable="none")
    spool.begin(ENVELOPE, CHAIN)
    seq = 0 if spool.last is None else spool.last.seq + 1
    while True:
        spool.append(small(seq, Priority.IMPORTANT if seq % 50 == 0 else Priority.ROUTINE, 900))
        sys.stdout.buffer.write(b"%d\\n" % seq)
        sys.stdout.buffer.flush()
        seq += 1"""


def test_a_killed_process_has_lost_nothing_that_it_had_appended(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", APPEND, str(folder)], stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            wanted = RANDOM.randrange(300, 1500)
            lines = [child.stdout.readline() for _ in range(wanted)]
            os.kill(child.pid, signal.SIGKILL)
            lines += child.stdout.read().splitlines(keepends=True)
    last = max(int(line) for line in lines if line.endswith(b"\n"))
    with Spool(folder, limit_bytes=1 << 18) as spool:
        assert spool.last is not None and spool.last.seq is not None
        assert 0 <= spool.last.seq - last <= 1
        arrived = Arrived()
        empty(spool, arrived)
        assert set(arrived.frames) | arrived.buried == set(range(spool.last.seq + 1))
        assert not set(arrived.frames) & arrived.buried
        assert arrived.buried
