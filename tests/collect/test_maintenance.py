"""Maintenance beside a receiver that is busy: files are merged as they come, and nobody notices."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from observability.collect import maintenance
from observability.collect.serving import serving
from observability.store.maintain_files import MANY
from tests.spans import decision_span, group, post, protobuf_body, rows


def eventually(met, within_s: float = 60.0) -> bool:
    deadline = time.monotonic() + within_s
    while not met() and time.monotonic() < deadline:
        time.sleep(0.05)
    return met()


def test_small_files_are_merged_while_requests_come(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance.Maintenance, "every_s", 0.05)
    acknowledged, over = [], threading.Event()
    files = "SELECT count(DISTINCT filename) FROM decisions"

    def send(url: str) -> None:
        while not over.is_set():
            assert post(url, protobuf_body(group([decision_span()]))).status == 200
            acknowledged.append(1)

    with serving(store) as url:
        sender = threading.Thread(target=send, args=(url,))
        sender.start()
        try:
            assert eventually(lambda: len(acknowledged) > 2 * MANY)
            assert eventually(lambda: rows(store, files)[0][0] < len(acknowledged) - MANY // 2)
        finally:
            over.set()
            sender.join()
    assert rows(store, "SELECT count(*) FROM decisions") == [(len(acknowledged),)]
    assert rows(store, f"SELECT sum(merged) >= {MANY} FROM maintenance") == [(True,)]  # noqa: S608


def test_a_whole_run_comes_by_itself_and_leaves_one_record(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance.Maintenance, "every_s", 0.05)
    monkeypatch.setattr(maintenance, "_FIRST_WHOLE_S", 0.5)
    with serving(store) as url:
        for _ in range(3):
            assert post(url, protobuf_body(group([decision_span()]))).status == 200
        assert eventually(lambda: rows(store, "FROM maintenance") != [])
        assert rows(store, "SELECT count(DISTINCT filename) FROM decisions") == [(1,)]
    assert rows(store, "SELECT count(*) FROM maintenance") == [(1,)]
