"""The status of a spool, from its files alone."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from tests.spooled import CHAIN, ENVELOPE, small
from traces.device import RecordedClock
from traces.device.command import lines, status_command
from traces.device.frames import Frame, Priority
from traces.device.spool import LEAST_LIMIT, Spool
from traces.device.status import ChainRange, Pending, status
from traces.errors import SpoolError

NOON = 1_767_268_800 * 10**9


def used(folder: Path) -> Spool:
    """A spool with something of everything, still open."""
    spool = Spool(folder, clock=RecordedClock(NOON), limit_bytes=LEAST_LIMIT, threaded=False)
    spool.begin(ENVELOPE, CHAIN)
    for seq in range(10):
        spool.append(small(seq))
    spool.seal()
    batch = spool.take(1 << 20, 4)
    assert batch is not None
    spool.sealed.acknowledge(batch)
    batch = spool.take(1 << 20, 1)
    assert batch is not None
    spool.sealed.put_aside(batch, "400 Bad Request")
    spool.sealed.evict()
    spool.append(small(10, Priority.IMPORTANT))
    spool.append(Frame(Priority.TELEMETRY, None, b"", b"span"))
    spool.state.note(error="503 Service Unavailable", error_at_ns=NOON)
    spool.maintain()
    return spool


def test_it_says_what_waits_what_went_and_what_is_wrong(tmp_path: Path) -> None:
    with used(tmp_path / "spool"):
        found = status(tmp_path / "spool", RecordedClock(NOON + 90 * 10**9))
    assert found.pending["telemetry"] == Pending(1, 22)
    assert found.pending["routine"] == Pending()
    assert found.pending["important"].frames == 2
    assert found.tombstones == (ChainRange(CHAIN, 5, 9),)
    assert [(q.seq, q.reason) for q in found.quarantine] == [(4, "400 Bad Request")]
    assert (found.ledger.acknowledged, found.ledger.tombstoned) == (4, 5)
    assert (found.oldest_pending_s, found.last_seq) == (90, 10)


def test_the_text_has_units_and_utc(tmp_path: Path) -> None:
    with used(tmp_path / "spool"):
        text = "\n".join(lines(status(tmp_path / "spool", RecordedClock(NOON + 90 * 10**9))))
    assert "pending         3 frames, " in text
    assert "oldest pending  90 s" in text
    assert "acknowledged    4 frames, last 2026-01-01T12:00:00Z" in text
    assert "last error      2026-01-01T12:00:00Z 503 Service Unavailable" in text
    assert f"5-9 of chain {CHAIN}" in text
    assert f"{CHAIN} number 4: 400 Bad Request" in text


def test_another_process_reads_it_while_this_one_appends(tmp_path: Path) -> None:
    with used(tmp_path / "spool") as spool:
        spool.append(small(11))
        code = "import sys; from traces.device.cli import main; sys.exit(main(sys.argv[1:]))"
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code, "status", str(spool.folder), "--json"],
            capture_output=True,
            text=True,
            check=True,
        )
    found = json.loads(done.stdout)
    assert found["last_seq"] == 11
    assert found["pending"]["routine"]["frames"] == 1


def test_a_new_spool_and_an_emptied_one_have_a_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Spool(tmp_path / "spool").close()
    assert status_command(Namespace(folder=tmp_path / "spool", json=False)) == 0
    text = capsys.readouterr().out
    assert (
        "last number     none" in text and "last never" in text and "last error      none" in text
    )


def test_a_folder_without_a_spool_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpoolError, match="without a spool"):
        status(tmp_path)


def test_the_state_file_is_written_at_most_once_a_maintenance(tmp_path: Path) -> None:
    with used(tmp_path / "spool") as spool:
        before = (spool.folder / "state").stat().st_ino
        spool.state.count(rejected=1)
        spool.state.count(rejected=1)
        assert (spool.folder / "state").stat().st_ino == before
        spool.maintain()
        assert status(spool.folder).ledger.rejected == 2
