from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from observability.collect.batcher import Batcher, NotDurable, QueueFull
from observability.store.write import Writer
from tests.spans import batch, counts, decision_span, rows


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
