from __future__ import annotations

import os
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from observability.collect.batcher import Batcher, NotDurable, QueueFull
from observability.collect.bodies import Accepted, Body, TooManySpans
from observability.collect.limits import Limits
from observability.store.write import Writer
from tests.spans import (
    batch,
    counts,
    decision_span,
    group,
    outcome_span,
    protobuf_body,
    rows,
    span,
)
from traces.errors import InvalidPayload

RECEIVED = datetime(2026, 1, 2, tzinfo=UTC)


def test_one_bad_batch_fails_only_itself(store: Path) -> None:
    bad: dict[str, Any] = {"decisions": pa.table({"no": [1], "such": [2]})}
    with Writer(store) as writer:
        batcher = Batcher(writer, 1 << 20)
        futures = [
            batcher.submit(each, 1)
            for each in (batch(decision_span()), bad, batch(decision_span()))
        ]
        batcher.close()
    errors = [future.exception() for future in futures]
    assert [type(error) for error in errors] == [type(None), NotDurable, type(None)]
    assert counts(store)["decisions"] == 2


def test_what_is_queued_is_committed_before_closing_and_nothing_is_taken_afterwards(
    store: Path,
) -> None:
    with Writer(store) as writer:
        batcher = Batcher(writer, 1 << 20)
        futures = [batcher.submit(batch(decision_span()), 1) for _ in range(20)]
        batcher.close()
        assert all(future.done() for future in futures)
        with pytest.raises(QueueFull):
            batcher.submit(batch(decision_span()), 1)
    assert counts(store)["decisions"] == 20


def test_a_waiting_sender_cannot_stop_the_thread_by_giving_up(store: Path) -> None:
    with Writer(store) as writer:
        batcher = Batcher(writer, 1 << 20)
        left: Future[Any] = batcher.submit(batch(decision_span()), 1)
        left.cancel()
        assert batcher.submit(batch(decision_span()), 1).result(timeout=30).conflicts == 0
        batcher.close()
    assert counts(store)["decisions"] == 2


def test_the_queue_is_empty_again_after_a_failure(store: Path) -> None:
    with Writer(store) as writer:
        batcher = Batcher(writer, 10)
        for _ in range(3):
            with pytest.raises(NotDurable):
                batcher.submit({"decisions": pa.table({"no": [1]})}, 10).result(timeout=30)
        assert (
            batcher.submit(batch(decision_span()), 10).result(timeout=30).stored["decisions"] == 1
        )
        batcher.close()


def test_groups_are_few_commits(store: Path) -> None:
    with Writer(store) as writer:
        batcher = Batcher(writer, 1 << 20)
        futures = [batcher.submit(batch(decision_span()), 1) for _ in range(40)]
        batcher.close()
        assert [future.result().conflicts for future in futures] == [0] * 40
    assert rows(store, "SELECT count(DISTINCT received_at) < 40 FROM decisions") == [(True,)]


def body(*sent: Span, device: str = "pump-07") -> Body:
    return Body(protobuf_body(group(sent, device)), RECEIVED)


@pytest.mark.parametrize("at_once", [4 << 20, 1], ids=["together", "in parts"])
def test_bodies_are_answered_each_with_what_became_of_its_own_spans(
    store: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("observability.collect.batcher._DECODE_BYTES", at_once)
    bad = span({"decision.type": "pump.stop"})
    bodies = [
        body(decision_span()), body(decision_span(), bad), Body(b"\xff", RECEIVED), body(),
        body(outcome_span(decision_span()), device="b"),
    ]  # fmt: skip
    with Writer(store) as writer:
        batcher = Batcher(writer, 1 << 20)
        futures = [batcher.submit_body(each) for each in bodies]
        batcher.close()
    assert [type(future.exception()) for future in futures] == [
        type(None), type(None), InvalidPayload, type(None), type(None)
    ]  # fmt: skip
    rejected = [future.result().rejected for future in futures if not future.exception()]
    assert rejected == [0, 1, 0, 0]
    assert futures[1].result().reason.startswith("found decision.model.name")
    assert counts(store)["decisions"] == 2


def test_bodies_and_rows_are_committed_together_and_keep_when_they_were_received(
    store: Path,
) -> None:
    with Writer(store) as writer:
        batcher = Batcher(writer, 1 << 20)
        batcher.submit(batch(decision_span()), 1)
        for day in (1, 2, 3):
            sent = protobuf_body(group([decision_span()]))
            batcher.submit_body(Body(sent, datetime(2020, 2, day, tzinfo=UTC)))
        batcher.close()
    days = "SELECT count(DISTINCT received_at::DATE) FROM decisions"
    assert rows(store, days) == [(4,)]


def test_a_body_of_too_many_spans_is_refused_and_its_neighbours_are_stored(store: Path) -> None:
    with Writer(store) as writer:
        batcher = Batcher(writer, 1 << 20, limits=Limits(spans_per_request=2))
        sizes = (1, 3, 2)
        futures = [batcher.submit_body(body(*(decision_span() for _ in range(n)))) for n in sizes]
        batcher.close()
    assert [type(future.exception()) for future in futures] == [
        type(None), TooManySpans, type(None)
    ]  # fmt: skip
    assert counts(store)["decisions"] == 3


@pytest.mark.parametrize("failure", [OSError(28, "full"), RuntimeError("odd rows")], ids=repr)
def test_when_a_commit_of_bodies_fails_none_is_acknowledged(
    store: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    with Writer(store) as writer:
        batcher = Batcher(writer, 1 << 20)
        monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(failure))
        futures = [batcher.submit_body(body(decision_span())) for _ in range(3)]
        assert {type(future.exception(timeout=30)) for future in futures} == {NotDurable}
        monkeypatch.undo()
        assert batcher.submit_body(body(decision_span())).result(timeout=30) == Accepted()
        batcher.close()
    assert counts(store)["decisions"] == 1


def test_before_the_scan_is_compiled_bodies_are_stored_all_the_same(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("observability.collect.batcher.is_warm", lambda: False)
    with Writer(store) as writer:
        batcher = Batcher(writer, 1 << 20)
        futures = [batcher.submit_body(body(decision_span())) for _ in range(3)]
        batcher.close()
    assert {future.result() for future in futures} == {Accepted()}
    assert counts(store)["decisions"] == 3
