"""The spool: order, restart, its bound, its lock, its key, and a disk that is full."""

from __future__ import annotations

import resource
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.spooled import CHAIN, ENVELOPE, Arrived, bytes_on_disk, empty, small
from traces.device import RecordedClock
from traces.device.frames import Frame, Priority
from traces.device.spool import LEAST_LIMIT, SEAL_AFTER_NS, Spool
from traces.errors import SpoolError
from traces.wire import envelope

ROUTINE, IMPORTANT, TELEMETRY = Priority.ROUTINE, Priority.IMPORTANT, Priority.TELEMETRY


@contextmanager
def opened(folder: Path, **options) -> Iterator[Spool]:
    with Spool(folder / "spool", **options) as spool:
        spool.begin(ENVELOPE, CHAIN)
        yield spool


def test_frames_come_out_as_they_went_in_over_restarts(tmp_path: Path) -> None:
    arrived = Arrived()
    for start in range(0, 300, 100):
        with opened(tmp_path) as spool:
            assert spool.last == (small(start - 1) if start else None)
            for seq in range(start, start + 100):
                spool.append(small(seq))
            assert (spool.last, spool.last_chain_id) == (small(start + 99), CHAIN)
    with Spool(tmp_path / "spool") as spool:
        empty(spool, arrived, max_bytes=3000)
        assert spool.is_empty
    assert arrived.order == list(range(300))
    with Spool(tmp_path / "spool") as spool:
        assert spool.is_empty
        assert (spool.last, spool.last_chain_id) == (small(299), CHAIN)


def test_a_request_holds_frames_of_one_resource_within_its_bounds(tmp_path: Path) -> None:
    other = envelope({"device.id": "pump-08"})
    with opened(tmp_path) as spool:
        for seq in range(4):
            spool.append(small(seq, size=100))
        spool.begin(other, CHAIN)
        spool.append(small(4, size=100))
        spool.seal()
        sizes = []
        while (batch := spool.take(250, 10)) is not None:
            sizes.append((len(batch), batch.envelope))
            spool.sealed.acknowledge(batch)
        assert sizes == [(2, ENVELOPE), (2, ENVELOPE), (1, other)]
        spool.append(small(5, size=5000))
        spool.append(small(6, size=5000))
        spool.seal()
        batch = spool.take(250, 10)
        assert batch is not None and len(batch) == 1


def test_turning_to_another_resource_and_back_makes_no_segment_more(tmp_path: Path) -> None:
    other = envelope({"device.id": "pump-08"})
    with opened(tmp_path) as spool:
        for seq in range(0, 100, 2):
            spool.append(small(seq))
            spool.begin(other, "other")
            spool.append(small(seq + 1))
            spool.begin(ENVELOPE, CHAIN)
        assert len(list((spool.folder / "open").iterdir())) == 2
        arrived = Arrived()
        empty(spool, arrived)
    assert arrived.order == [*range(0, 100, 2), *range(1, 100, 2)]


def test_what_was_not_acknowledged_is_taken_again_also_after_a_restart(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        for seq in range(10):
            spool.append(small(seq))
        spool.seal()
        first = spool.take(1 << 20, 4)
        assert first is not None
        spool.sealed.acknowledge(first)
        assert spool.take(1 << 20, 4) is not None
        spool.sealed.release()
    with Spool(tmp_path / "spool") as spool:
        arrived = Arrived()
        empty(spool, arrived)
    assert arrived.order == list(range(4, 10))


def test_one_process_has_a_spool_and_the_second_is_told_whose_it_is(tmp_path: Path) -> None:
    with opened(tmp_path):
        with pytest.raises(SpoolError, match=r"in use by process \d+"):
            Spool(tmp_path / "spool")
        code = "import sys; from traces.device.spool import Spool; Spool(sys.argv[1])"
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "spool")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "in use by process" in done.stderr
    Spool(tmp_path / "spool").close()


def test_files_are_their_owners_alone(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        spool.append(small(0))
        spool.seal()
        spool.append(small(1))
        spool.keep({"chain_id": CHAIN})
        paths = [tmp_path / "spool", *(tmp_path / "spool").rglob("*")]
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in paths}
        assert len(modes) == 8
        assert {modes[p.name] for p in paths if p.is_dir()} == {0o700}
        assert {modes[p.name] for p in paths if p.is_file()} == {0o600}


def test_what_the_recorder_keeps_is_there_after_a_restart(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool") as spool:
        assert spool.recorded() == {}
        spool.keep({"chain_id": CHAIN, "seq": 7})
    with Spool(tmp_path / "spool") as spool:
        assert spool.recorded() == {"chain_id": CHAIN, "seq": 7}


def test_a_segment_is_sealed_when_it_is_full_or_thirty_seconds_old(tmp_path: Path) -> None:
    clock = RecordedClock(10**18)
    with opened(tmp_path, clock=clock, limit_bytes=1 << 20) as spool:
        spool.append(small(0))
        spool.maintain()
        assert not spool.sealed.entries
        clock.set(10**18 + SEAL_AFTER_NS)
        spool.maintain()
        assert len(spool.sealed.entries) == 1
        for seq in range(1, 1000):
            spool.append(small(seq))
        spool.maintain()
        assert len(spool.sealed.entries) == 1 + 999 * len(small(0).span + bytes(50)) // (1 << 16)


@given(st.lists(st.tuples(st.sampled_from(Priority), st.integers(50, 1500)), max_size=600))
def test_a_full_spool_stays_within_its_bound_and_names_what_went(
    tmp_path_factory: pytest.TempPathFactory, given_: list[tuple[Priority, int]]
) -> None:
    folder = tmp_path_factory.mktemp("full")
    made = [small(seq, *item) for seq, item in enumerate(given_)]
    with opened(folder, limit_bytes=LEAST_LIMIT, durable="none") as spool:
        lost: list[tuple[int, int]] = []
        for frame in made:
            spool.append(frame)
            assert bytes_on_disk(folder / "spool") <= LEAST_LIMIT + 200
            lost += spool.lost()
        arrived = Arrived()
        empty(spool, arrived)
    assert set(arrived.frames) | arrived.buried == set(range(len(made)))
    assert not set(arrived.frames) & arrived.buried
    assert {n for first, last in lost for n in range(first, last + 1)} == arrived.buried
    shutil.rmtree(folder)


def test_important_frames_outlive_routine_ones_and_go_last(tmp_path: Path) -> None:
    with opened(tmp_path, limit_bytes=1 << 18, durable="none") as spool:
        for seq in range(2000):
            spool.append(small(seq, IMPORTANT if seq % 10 == 0 else ROUTINE, 500))
        arrived = Arrived()
        empty(spool, arrived)
        assert set(range(0, 2000, 10)) <= set(arrived.frames)
        assert 1999 in arrived.frames and len(arrived.buried) > 1000
        for seq in range(2000, 4000):
            spool.append(small(seq, IMPORTANT, 500))
        arrived = Arrived()
        empty(spool, arrived)
        assert min(arrived.frames) > 3000 and max(arrived.frames) == 3999
        assert arrived.buried == set(range(2000, min(arrived.frames)))


def test_a_spool_of_nothing_but_tombstones_stays_bounded_and_names_everything(
    tmp_path: Path,
) -> None:
    with opened(tmp_path, limit_bytes=LEAST_LIMIT, durable="none") as spool:
        for seq in range(3_500):
            spool.append(small(seq, ROUTINE if seq % 7 else TELEMETRY, 60))
        assert bytes_on_disk(tmp_path / "spool") <= LEAST_LIMIT
        arrived = Arrived()
        empty(spool, arrived)
    assert set(arrived.frames) | arrived.buried == set(range(3_500))
    assert b"" in arrived.tombstones.values() and any(arrived.tombstones.values())


def test_a_frame_that_no_eviction_makes_room_for_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path, limit_bytes=LEAST_LIMIT) as spool:
        with pytest.raises(SpoolError, match="without room"):
            spool.append(small(0, IMPORTANT, LEAST_LIMIT))
        spool.append(small(0))
        arrived = Arrived()
        empty(spool, arrived)
    assert arrived.order == [0]


def test_a_frame_has_to_know_what_it_belongs_to(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with pytest.raises(SpoolError, match="before `begin`"):
        spool.append(small(0))
    spool.begin(ENVELOPE)
    with pytest.raises(SpoolError, match="digest of 3 bytes"):
        spool.append(Frame(ROUTINE, 0, b"abc", b""))
    spool.close()
    with pytest.raises(SpoolError, match="closed"):
        spool.append(small(0))


KEY = bytes(range(32))


def test_an_encrypted_spool_says_nothing_without_its_key(tmp_path: Path) -> None:
    secret = envelope({"device.id": "secret-device"})
    with Spool(tmp_path / "spool", key=KEY) as spool:
        spool.begin(secret, CHAIN)
        for seq in range(20):
            spool.append(Frame(ROUTINE, seq, bytes(32), b"secret-span"))
        spool.seal()
        batch = spool.take(1 << 20, 5)
        assert batch is not None and batch.spans == (b"secret-span",) * 5
        spool.sealed.put_aside(batch, "refused")
        spool.append(Frame(ROUTINE, 20, bytes(32), b"secret-span"))
        text = b"".join(path.read_bytes() for path in spool.folder.rglob("*") if path.is_file())
        assert b"secret" not in text
    for key in (None, bytes(32)):
        with pytest.raises(SpoolError, match="key"):
            Spool(tmp_path / "spool", key=key)
    with Spool(tmp_path / "spool", key=KEY) as spool:
        batch = spool.take(1 << 20, 100)
        assert batch is not None and batch.envelope == secret and len(batch) == 15
        assert spool.last == Frame(ROUTINE, 20, bytes(32), b"secret-span")


def test_a_key_of_another_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpoolError, match="a key of 3 bytes"):
        Spool(tmp_path / "spool", key=b"abc")


def test_a_folder_that_cannot_be_written_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file")
    with pytest.raises(SpoolError, match="cannot be written"):
        Spool(tmp_path / "spool")


def test_a_full_disk_refuses_frames_and_recovers(tmp_path: Path) -> None:
    code = """if True:
        import resource, signal, sys
        from pathlib import Path
        from tests.spooled import CHAIN, ENVELOPE, Arrived, empty, small
        from traces.device.spool import Spool
        from traces.errors import SpoolError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        spool = Spool(Path(sys.argv[1]))
        spool.begin(ENVELOPE, CHAIN)
        kept = []
        for seq in range(300):
            if seq == 100:
                resource.setrlimit(resource.RLIMIT_FSIZE, (30_100, resource.RLIM_INFINITY))
            if seq == 200:
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            try:
                spool.append(small(seq))
                kept.append(seq)
            except SpoolError as error:
                assert "cannot be written" in str(error)
        arrived = Arrived()
        empty(spool, arrived)
        assert arrived.order == kept, (arrived.order, kept)
        assert 100 < len(kept) < 300 and kept[-1] == 299
        assert spool.state.ledger.refused == 300 - len(kept)
        spool.close()"""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(tmp_path / "spool")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_damaged_segment_is_put_aside_and_the_others_go_on(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        for start in (0, 10, 20):
            for seq in range(start, start + 10):
                spool.append(small(seq))
            spool.seal()
    path = sorted((tmp_path / "spool" / "sealed").glob("*.seg"))[1]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with Spool(tmp_path / "spool") as spool:
        arrived = Arrived()
        empty(spool, arrived)
        assert spool.state.ledger.damaged_bytes > 0
    assert set(range(10)) | set(range(20, 30)) <= set(arrived.frames)
    assert 10 < len(arrived.frames) < 30
    assert [p.name for p in (tmp_path / "spool" / "quarantine").iterdir()] == [
        path.name + ".damaged"
    ]
