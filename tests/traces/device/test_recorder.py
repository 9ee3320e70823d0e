"""A recorder and its spool on a real disk: what is in there is read as a server would."""

from __future__ import annotations

import itertools
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import context, trace
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span
from opentelemetry.sdk.trace import TracerProvider

from tests.strategies import decisions, same
from traces import Decision, GateVerdict, ModelVersion, Outcome
from traces.chain import CHAIN_ID, CHAIN_PREV, CHAIN_SEQ, canonical_attributes, span_digest
from traces.checkpoint import UNSIGNED, Checkpoint, read_checkpoint
from traces.codec import decode_decision, encode_decision
from traces.codec_later import decode_outcome
from traces.conventions import NAMES
from traces.device import RecordedClock, Recorder, keys
from traces.device.frames import Frame, Priority
from traces.device.journal import EVERY_S, EVERY_SPANS
from traces.device.spool import Spool
from traces.otlp import attributes_of
from traces.verification import Link, Tombstone, Verified, joined, verify, without

PLAIN = Decision(
    "pump.stop",
    ModelVersion("guard", "1.4.0", "sha256:" + "0" * 64),
    "run",
    "executed",
    inputs={"temperature": 71.5},
)
CHAIN = {CHAIN_ID, CHAIN_SEQ, CHAIN_PREV}


class Device:
    """A recorder on a spool in a folder; `taken` is what a sender would send, in its order."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.clock = RecordedClock(10**18)
        self.spool = Spool(
            folder, clock=self.clock, limit_bytes=options.pop("limit_bytes", 64 << 20)
        )
        self.recorder = Recorder(
            device_id="pump-07", service="pump", spool=self.spool, clock=self.clock, **options
        )

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: object) -> None:
        self.spool.close()

    def taken(self) -> list[Span]:
        """All frames that are in the spool, which then are no longer."""
        return [span for _, span in self.taken_with_envelopes()]

    def taken_with_envelopes(self) -> list[tuple[ResourceSpans, Span]]:
        self.spool.seal()
        out = []
        while (batch := self.spool.take(1 << 20, 1000)) is not None:
            envelope = ResourceSpans.FromString(batch.envelope)
            out += [(envelope, Span.FromString(span)) for span in batch.spans]
            self.spool.sealed.acknowledge(batch)
        return out


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    with Device(tmp_path / "spool") as made:
        yield made


def digest_of(span: Span) -> bytes:
    content = canonical_attributes(attributes_of(span.attributes))
    times = span.start_time_unix_nano, span.end_time_unix_nano
    return span_digest(span.trace_id, span.span_id, span.name, *times, content)


def read(spans: list[Span]) -> dict[str, list[Link | Tombstone | Checkpoint]]:
    """The items of each chain in these spans."""
    out: dict[str, list[Link | Tombstone | Checkpoint]] = {}
    for span in spans:
        said = attributes_of(span.attributes)
        items = out.setdefault(said[CHAIN_ID], [])
        if span.name == "decision.tombstone":
            said = {name.removeprefix("decision.tombstone."): value for name, value in said.items()}
            items.append(Tombstone(said["seq_from"], said["seq_to"], said["digests"]))
            continue
        items.append(Link(said[CHAIN_SEQ], bytes.fromhex(said[CHAIN_PREV]), digest_of(span)))
        if span.name == "decision.checkpoint":
            checkpoint = read_checkpoint(said, said[CHAIN_ID])
            assert checkpoint is not None
            items.append(checkpoint)
    return out


def verified(spans: list[Span]) -> Verified:
    ((chain_id, items),) = read(spans).items()
    return verify(chain_id, items)


def checkpoints(spans: list[Span]) -> list[Checkpoint]:
    return [
        item for items in read(spans).values() for item in items if isinstance(item, Checkpoint)
    ]


def test_a_decision_is_in_the_spool_as_its_span(device: Device) -> None:
    decided = device.recorder.record(PLAIN, 10**18 - 500)
    (span,) = device.taken()
    assert decided == f"{span.trace_id.hex()}-{span.span_id.hex()}"
    assert (span.name, span.kind) == ("decision pump.stop", Span.SPAN_KIND_INTERNAL)
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (10**18 - 500, 10**18)
    attributes = attributes_of(span.attributes)
    assert list(attributes)[-3:] == [CHAIN_ID, CHAIN_SEQ, CHAIN_PREV]
    assert {
        name: value for name, value in attributes.items() if name not in CHAIN
    } == encode_decision(PLAIN)


@given(decided=st.lists(decisions(), max_size=4))
def test_any_decision_is_recorded_as_it_is_and_its_digest_stands_in_the_frame(
    decided: list[Decision], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with Device(tmp_path_factory.mktemp("spool")) as device:
        for each in decided:
            assert device.recorder.record(each)
            last = device.spool.last
            assert last is not None
            assert last.digest == digest_of(Span.FromString(last.span))
        for each, span in zip(decided, device.taken(), strict=True):
            said = attributes_of(span.attributes)
            kept = {k: v for k, v in each.extra.items() if k not in CHAIN}
            left = {name: value for name, value in said.items() if name not in CHAIN}
            assert same(decode_decision(left).inputs, each.inputs)
            assert same({k: left[k] for k in kept}, kept)


def test_an_outcome_links_to_its_decision_and_is_important(device: Device) -> None:
    trace_id, span_id = device.recorder.record(PLAIN).split("-")
    outcome = Outcome(trace_id, span_id, "failed", "sensor", 10**18, 1.0)
    device.recorder.record_outcome(outcome)
    last = device.spool.last
    assert last is not None
    assert last.priority == Priority.IMPORTANT
    span = device.taken()[-1]
    assert (span.links[0].trace_id.hex(), span.links[0].span_id.hex()) == (trace_id, span_id)
    said = attributes_of(span.attributes)
    assert same(decode_outcome({k: v for k, v in said.items() if k not in CHAIN}), outcome)


@pytest.mark.parametrize(
    ("fields", "priority"),
    [
        ({}, Priority.ROUTINE),
        ({"disposition": "blocked"}, Priority.IMPORTANT),
        ({"disposition": "modified"}, Priority.IMPORTANT),
        ({"disposition": "deferred"}, Priority.IMPORTANT),
        ({"gates": (GateVerdict("operator", "human", "pass"),)}, Priority.IMPORTANT),
        ({"gates": (GateVerdict("limit", "rule", "pass"),)}, Priority.ROUTINE),
        ({"extra": {"http.route": "/"}}, Priority.ROUTINE),
    ],
    ids=repr,
)
def test_what_was_plainly_executed_may_be_evicted_first(
    device: Device, fields: dict[str, Any], priority: Priority
) -> None:
    plain: dict[str, Any] = {"action": "run", "disposition": "executed"}
    device.recorder.record(Decision(PLAIN.type, PLAIN.model, **(plain | fields)))
    last = device.spool.last
    assert last is not None
    assert last.priority == priority


def test_a_decision_is_a_child_of_the_span_in_whose_context_it_was_made(device: Device) -> None:
    parent = trace.SpanContext(5, 7, is_remote=True, trace_flags=trace.TraceFlags(0))
    token = context.attach(trace.set_span_in_context(trace.NonRecordingSpan(parent)))
    try:
        device.recorder.record(PLAIN)
    finally:
        context.detach(token)
    device.recorder.record(PLAIN)
    child, root = device.taken()
    assert (int.from_bytes(child.trace_id), int.from_bytes(child.parent_span_id)) == (5, 7)
    assert root.parent_span_id == b""
    assert root.trace_id != child.trace_id


def test_numbers_and_links_form_a_chain_and_its_end_is_signed_at_shutdown(device: Device) -> None:
    keys.create(device.spool.folder)
    for _ in range(10):
        device.recorder.record(PLAIN)
    device.recorder.shutdown()
    found = verified(device.taken())
    assert found.verified == ((0, 9),)
    assert found.unsigned == ((10, 10),)


def test_a_checkpoint_comes_at_least_each_so_many_spans(device: Device) -> None:
    keys.create(device.spool.folder)
    for _ in range(3 * EVERY_SPANS):
        device.recorder.record(PLAIN)
    spans = device.taken()
    found = [n for n, span in enumerate(spans) if span.name == "decision.checkpoint"]
    assert found[0] == EVERY_SPANS - 1
    assert {b - a for a, b in itertools.pairwise(found)} == {EVERY_SPANS}
    covered = [(c.seq_from, c.seq_to) for c in checkpoints(spans)]
    assert covered == [
        (max(0, n * EVERY_SPANS - 1), (n + 1) * EVERY_SPANS - 2) for n in range(len(found))
    ]
    assert verified(spans).verified == ((0, covered[-1][1]),)


def test_a_checkpoint_comes_when_what_none_covers_is_a_minute_old(device: Device) -> None:
    device.recorder.record(PLAIN)
    device.clock.set(10**18 + int(EVERY_S * 10**9) - 1)
    device.recorder.record(PLAIN)
    device.clock.set(10**18 + int(EVERY_S * 10**9))
    device.recorder.record(PLAIN)
    names = [span.name for span in device.taken()]
    assert names == ["decision pump.stop"] * 3 + ["decision.checkpoint"]


def test_a_checkpoint_of_nothing_new_is_not_made(device: Device) -> None:
    device.recorder.checkpoint()
    device.recorder.record(PLAIN)
    for _ in range(3):
        device.recorder.checkpoint()
    device.recorder.shutdown()
    assert len(device.taken()) == 2


def test_without_a_key_the_chain_is_there_and_its_checkpoints_say_that_they_are_unsigned(
    device: Device,
) -> None:
    device.recorder.record(PLAIN)
    device.recorder.shutdown()
    spans = device.taken()
    (checkpoint,) = checkpoints(spans)
    assert (checkpoint.fault, checkpoint.key_id) == (UNSIGNED, "")
    assert verified(spans).missing == ()
    assert device.recorder.failures == 0


def test_a_key_that_is_none_costs_the_signature_and_not_the_checkpoint(device: Device) -> None:
    (device.spool.folder / keys.FILE).write_text("no key")
    device.recorder.record(PLAIN)
    device.recorder.shutdown()
    assert checkpoints(device.taken())[0].fault == UNSIGNED
    assert device.recorder.failures == 1


def test_a_restart_goes_on_with_the_chain(tmp_path: Path) -> None:
    spans = []
    for ending in ("shutdown", "crash", "shutdown", "crash"):
        with Device(tmp_path) as device:
            for _ in range(5):
                device.recorder.record(PLAIN)
            if ending == "shutdown":
                device.recorder.shutdown()
            spans += device.taken()
    assert sorted(attributes_of(s.attributes)[CHAIN_SEQ] for s in spans) == list(range(22))
    found = verified(spans)
    assert not (found.missing or found.disagreeing or found.altered)
    assert [(c.seq_from, c.seq_to) for c in checkpoints(spans)] == [(0, 4), (0, 15)]


def test_a_spool_that_lost_its_last_frames_is_followed_by_a_chain_that_names_the_one_before(
    tmp_path: Path,
) -> None:
    with Device(tmp_path) as device:
        keys.create(tmp_path)
        device.recorder.record(PLAIN)
        before = device.spool.last_chain_id
    for segment in (tmp_path / "sealed").iterdir():
        segment.unlink()
    for number in range(2):
        with Device(tmp_path) as device:
            device.recorder.record(PLAIN)
            if number:
                device.recorder.shutdown()
                spans = device.taken()
    (said,) = read(spans)
    assert said != before
    assert verified(spans).predecessor == before
    with Device(tmp_path) as device:
        device.recorder.record(PLAIN)
        device.recorder.shutdown()
        assert verified(device.taken()).predecessor == ""


@pytest.mark.parametrize("wrong", ["seq", "digest", "span", "chain"])
def test_a_last_frame_that_contradicts_itself_is_not_continued(tmp_path: Path, wrong: str) -> None:
    with Device(tmp_path) as device:
        device.recorder.record(PLAIN)
        last, before = device.spool.last, device.spool.last_chain_id
        assert last is not None
        assert last.seq is not None
        forged = {
            "seq": Frame(last.priority, last.seq + 5, last.digest, last.span),
            "digest": Frame(last.priority, 1, b"\x01" * 32, last.span),
            "span": Frame(last.priority, 1, last.digest, b"\xff"),
            "chain": last,
        }
        if wrong == "chain":
            device.spool.keep({"chain": "another"})
        device.spool.append(forged[wrong])
    with Device(tmp_path) as device:
        device.recorder.record(PLAIN)
        assert device.spool.last is not None
        assert device.spool.last.seq == 0
        assert device.spool.last_chain_id != before


def test_a_new_key_is_announced_under_the_old_one_which_is_gone_then(device: Device) -> None:
    old = keys.create(device.spool.folder)
    device.recorder.record(PLAIN)
    device.recorder.checkpoint()
    new = keys.rotate(device.spool.folder)
    for _ in range(2):
        device.recorder.record(PLAIN)
        device.recorder.checkpoint()
    spans = device.taken()
    found = verified(spans)
    assert [c.key_id for c in checkpoints(spans)] == [old.key_id, old.key_id, new.key_id]
    assert (found.key_ids, found.strange_keys) == ((old.key_id, new.key_id), ())
    assert found.verified == ((0, 4),)
    left = keys.load(device.spool.folder)
    assert left is not None
    assert left.public == new.public
    assert not (device.spool.folder / keys.NEXT).exists()


def test_a_crash_between_announcing_a_key_and_going_over_to_it_announces_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys.create(tmp_path)
    spans = []
    with Device(tmp_path) as device, monkeypatch.context() as patched:
        keys.rotate(tmp_path)
        patched.setattr(keys, "go_over", lambda _: 1 / 0)
        device.recorder.record(PLAIN)
        device.recorder.checkpoint()
        spans += device.taken()
    with Device(tmp_path) as device:
        for _ in range(2):
            device.recorder.record(PLAIN)
            device.recorder.checkpoint()
        spans += device.taken()
    found = verified(spans)
    assert (len(found.key_ids), found.strange_keys, found.missing) == (2, (), ())


def test_what_was_evicted_is_named_by_a_checkpoint_and_verifies_by_its_tombstones(
    tmp_path: Path,
) -> None:
    with Device(tmp_path, limit_bytes=256 << 10) as device:
        keys.create(tmp_path)
        for number in range(900):
            device.recorder.record(PLAIN)
            if number % 20 == 0:
                device.spool.seal()
        device.recorder.shutdown()
        unnamed = device.spool.lost()
        spans = device.taken()
    found = verified(spans)
    assert found.verified == ((0, attributes_of(spans[-1].attributes)[CHAIN_SEQ] - 1),)
    assert found.lost
    assert not found.missing
    named = joined([*unnamed, *(r for c in checkpoints(spans) for r in c.lost)])
    assert without(found.lost, named) == ()


def test_without_a_chain_nothing_is_numbered_or_signed(tmp_path: Path) -> None:
    with Device(tmp_path, chain=False) as device:
        for _ in range(2 * EVERY_SPANS):
            device.recorder.record(PLAIN)
        device.recorder.shutdown()
        assert device.spool.last is None
        spans = device.taken()
    assert len(spans) == 2 * EVERY_SPANS
    assert same(attributes_of(spans[-1].attributes), encode_decision(PLAIN))


def test_many_threads_make_one_chain_without_a_gap(device: Device) -> None:
    def record() -> None:
        for _ in range(100):
            device.recorder.record(PLAIN)

    threads = [threading.Thread(target=record) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spans = device.taken()
    found = verified(spans)
    assert len(spans) >= 800
    assert not (found.missing or found.disagreeing or found.forks)
    assert [attributes_of(s.attributes)[CHAIN_SEQ] for s in spans] == list(range(len(spans)))


@pytest.mark.parametrize(
    ("value", "arrives"),
    [(2**63, "9223372036854775808"), (np.float32(1.5), 1.5), ("caf\udce9", "caf\\udce9")],
    ids=repr,
)
def test_what_no_span_can_carry_is_recorded_as_text(
    device: Device, value: Any, arrives: Any
) -> None:
    odd = Decision(PLAIN.type, PLAIN.model, "run", "executed", context={"odd": value})
    for _ in range(3):
        assert device.recorder.record(odd)
    for span in device.taken():
        assert attributes_of(span.attributes)["decision.context.odd"] == arrives


def test_a_spool_that_is_full_or_closed_costs_the_record_and_no_number(tmp_path: Path) -> None:
    with Device(tmp_path) as device:
        assert device.recorder.record(PLAIN)
        huge = Decision(PLAIN.type, PLAIN.model, "run", "executed", context={"x": "y" * (65 << 20)})
        assert device.recorder.record(huge) == ""
        assert device.recorder.record(PLAIN)
        assert verified(device.taken()).missing == ()
        device.spool.close()
        assert device.recorder.record(PLAIN) == ""
        device.recorder.record_outcome(Outcome("a" * 32, "b" * 16, "x", "y", 1))
        device.recorder.record_outcome(Outcome("no hex", "", "x", "y", 1))
        device.recorder.shutdown()
        assert device.recorder.failures >= 4


def test_a_spool_that_cannot_be_used_does_not_reach_the_device(tmp_path: Path) -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise OSError(name)

    broken: Any = Broken()
    recorder = Recorder(device_id="d", service="s", spool=broken)
    assert recorder.record(PLAIN) == ""
    recorder.record_outcome(Outcome("a" * 32, "b" * 16, "x", "y", 1))
    recorder.checkpoint()
    recorder.flush()
    recorder.shutdown()
    assert recorder.failures == 3


def test_shutting_down_in_a_signal_handler_does_not_hang(device: Device) -> None:
    def handle(*_: object) -> None:
        device.recorder.record(PLAIN)
        device.recorder.shutdown()

    class Interrupted(RecordedClock):
        def monotonic_ns(self) -> int:
            signal.raise_signal(signal.SIGUSR1)
            return 0

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        device.recorder._journal._clock = Interrupted(10**18)  # type: ignore[union-attr]
        assert device.recorder.record(PLAIN)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert verified(device.taken()).missing == ()


def test_other_spans_of_the_application_go_into_the_same_spool(device: Device) -> None:
    provider = TracerProvider()
    provider.add_span_processor(device.recorder.span_processor())
    tracer = provider.get_tracer("plant.control", "2.0")
    with tracer.start_as_current_span("shift") as shift:
        decided = device.recorder.record(PLAIN)
        with tracer.start_as_current_span("inner"):
            pass
    device.recorder.record(PLAIN)
    device.recorder.flush()
    device.recorder.record(PLAIN)
    spans = device.taken_with_envelopes()
    names: dict[str, list[str]] = {}
    for envelope, span in spans:
        names.setdefault(envelope.scope_spans[0].scope.name, []).append(span.name)
    assert names == {
        "whence": ["decision pump.stop"] * 3,
        "plant.control": ["inner", "shift"],
    }
    assert not any(e.scope_spans[0].spans for e, _ in spans)
    assert decided.startswith(f"{shift.get_span_context().trace_id:032x}-")
    numbered = [s for e, s in spans if e.scope_spans[0].scope.name == "whence"]
    assert verified(numbered).missing == ()


def test_other_spans_are_appended_when_they_are_many_or_old(device: Device) -> None:
    provider = TracerProvider()
    provider.add_span_processor(device.recorder.span_processor())
    tracer = provider.get_tracer("plant.control")
    for _ in range(130):
        tracer.start_span("work").end()
    assert len(device.taken()) == 128
    device.clock.set(10**18 + 6 * 10**9)
    tracer.start_span("work").end()
    assert len(device.taken()) == 3
    provider.shutdown()


def test_every_name_that_the_recorder_writes_is_registered(device: Device) -> None:
    keys.create(device.spool.folder)
    device.recorder.record(PLAIN)
    device.recorder.record_outcome(Outcome("a" * 32, "b" * 16, "x", "y", 1, 2.0))
    keys.rotate(device.spool.folder)
    device.recorder.shutdown()
    written = {name for span in device.taken() for name in attributes_of(span.attributes)}
    assert written - CHAIN <= NAMES
    assert "decision.checkpoint.next_public_key" in written
