"""Ids that begin with the time, whichever way a decision is recorded."""

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.spans import decision
from traces.device import RecordedClock, Recorder, Spool

AT_NS = 1_700_000_000_123_456_789


@pytest.mark.parametrize("way", ["spool", "sdk"])
def test_ids_of_decisions_are_in_the_order_of_their_times(tmp_path, way):
    clock = RecordedClock(AT_NS)
    with Spool(tmp_path / "spool") as spool:
        to = (
            {"spool": spool}
            if way == "spool"
            else {"processor": SimpleSpanProcessor(InMemorySpanExporter())}
        )
        recorder = Recorder(device_id="dev-1", service="test", clock=clock, **to)
        ids = []
        for _ in range(20):
            ids.append(recorder.record(decision()))
            clock.set(clock.wall_ns() + 1_000_000)
    assert ids == sorted(ids)
    assert int(ids[0][:12], 16) == AT_NS // 1_000_000
    assert len({one[12:32] for one in ids}) == 20
