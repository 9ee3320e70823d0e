"""From a device's spool to the account of its chain: the real recorder, sender and receiver."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from observability.collect.serving import serving
from tests.chains import Chain
from tests.spans import decision, group, post, protobuf_body, rows
from traces import Outcome
from traces.device import Recorder, Sender, Spool
from traces.device.keys import create
from traces.wire import request_bytes

STATUS = "SELECT {} FROM chain_status"


@pytest.fixture
def url(store: Path) -> Iterator[str]:
    with serving(store) as base:
        yield base


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """300 decisions and an outcome, signed, sealed and not sent."""
    folder = tmp_path / "spool"
    opened = Spool(folder)
    create(folder)
    recorder = Recorder(device_id="pump-07", service="pump", spool=opened)
    for step in range(300):
        decided = recorder.record(decision(inputs={"t": float(step)}))
    trace_id, _, span_id = decided.partition("-")
    recorder.record_outcome(Outcome(trace_id, span_id, "worn", "sensor", 1))
    recorder.shutdown()
    yield opened
    opened.close()


def send(spool: Spool, url: str) -> bool:
    """Send everything."""
    sender = Sender(spool, url)
    sender.start()
    done = sender.flush(30)
    sender.stop()
    return done


def test_what_a_device_recorded_is_whole_and_verified_here(
    store: Path, url: str, spool: Spool
) -> None:
    assert send(spool, url)
    status = rows(store, STATUS.format("arrived, missing, verified, forks, broken, bad_signatures"))
    assert status == [(303, 0, 302, 0, 0, 0)]
    assert rows(store, "SELECT detail FROM chain_events WHERE kind = 'key'") == [("first use",)]


@pytest.mark.parametrize("gone", [0, 7, 256, 300])
def test_a_frame_deleted_by_hand_from_a_copy_of_the_spool_is_named(
    tmp_path: Path, store: Path, url: str, spool: Spool, gone: int
) -> None:
    spool.seal()
    shutil.copytree(tmp_path / "spool", tmp_path / "copy", ignore=shutil.ignore_patterns("lock"))
    with Spool(tmp_path / "copy") as copy:
        batch = copy.take(1 << 30, 1 << 30)
        assert batch is not None
        kept = [s for r, s in zip(batch.records, batch.spans, strict=True) if r.seq != gone]
        assert len(kept) == len(batch.spans) - 1
        assert post(url, request_bytes(batch.envelope, kept)).status == 200
    assert rows(store, "SELECT seq_from, seq_to FROM chain_gaps") == [(gone, gone)]
    assert send(spool, url)
    assert rows(store, "FROM chain_gaps") == []
    assert rows(store, STATUS.format("verified, forks")) == [(302, 0)]


def test_the_receiver_accounts_for_many_requests_at_once(store: Path, url: str) -> None:
    chain = Chain()
    for _ in range(6):
        chain.run(4)
        chain.checkpoint()
    for part in (0, 2, 1):
        spans = [one for seq, one in enumerate(chain.sent) if seq % 3 == part and seq != 17]
        assert post(url, protobuf_body(group(spans))).status == 200
    assert rows(store, "SELECT seq_from, seq_to FROM chain_gaps") == [(17, 17)]
    assert rows(store, STATUS.format("arrived, verified, verified_to")) == [(29, 25, 28)]
