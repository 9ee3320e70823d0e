"""What was changed on devices, from a real store: versions, firmware, limits of gates, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from observability.store import lake
from observability.store.read import Window
from observability.store.read_changes import between, changes, groups, in_words, labels
from observability.store.write import Writer
from tests.spans import MODEL, decision, decision_span, decoded, group
from traces import GateVerdict

START = datetime(2026, 1, 1, tzinfo=UTC)
NEWER = replace(MODEL, version="1.5.0")


@pytest.fixture(scope="module")
def con(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """Two pumps for a week: both get firmware on day 2, pump-1 a version on day 3 and a limit for day 4."""
    store: Path = tmp_path_factory.mktemp("changed") / "fleet"
    with Writer(store) as writer:
        for device, site in (("pump-1", "north"), ("pump-2", None)):
            spans = [_span(device, site, hour) for hour in range(0, 7 * 24, 6)]
            for version, part in (("1.9", spans[:10]), ("2.0", spans[10:])):
                writer.write(decoded(group(part, device, **{"service.version": version})).batch())
    with lake.connect(store) as opened:
        yield opened


def test_each_change_is_told_once_with_its_time_and_devices(con) -> None:
    found = changes(con, "pump.stop", Window())
    assert found.select("kind", "state", "devices").rows() == [
        ("firmware", "2.0", ["pump-1", "pump-2"]),
        ("model", "guard 1.5.0", ["pump-1"]),
        ("gate", "minutes >= 60", ["pump-1"]),
        ("gate", "minutes >= 30", ["pump-1"]),
    ]
    assert found["changed_at"][0] == START + timedelta(days=2.5)
    assert in_words(found)[2] == "gate dwell minutes >= 60 on pump-1"
    assert in_words(found)[0] == "firmware 2.0 on 2 devices"


def test_changes_of_one_device_and_since_a_day(con) -> None:
    assert changes(con, "pump.stop", Window(), device="pump-2")["kind"].to_list() == ["firmware"]
    late = changes(con, "pump.stop", Window(), since=START + timedelta(days=4.5))
    assert late["state"].to_list() == ["minutes >= 30"]
    assert changes(con, "valve.open", Window()).is_empty()


def test_labels_gather_what_changed_in_one_bucket(con) -> None:
    found = changes(con, "pump.stop", Window())
    weeks = labels(found, timedelta(days=7))
    assert [len(said) for said in weeks["said"]] == [4]
    assert labels(found, timedelta(days=1)).height == 4
    assert labels(found.clear(), timedelta(days=1)).is_empty()


def test_changes_near_a_time_are_those_of_the_devices_asked_for(con) -> None:
    found = changes(con, "pump.stop", Window())
    near = between(found, START + timedelta(days=2), START + timedelta(days=4), ["pump-2"])
    assert in_words(near) == ["firmware 2.0 on pump-2"]
    assert between(found, START, START + timedelta(days=9), []).height == 4


def test_where_devices_stand_is_told_and_what_is_not_recorded_stays_open(con) -> None:
    assert groups(con, "pump.stop", Window()).rows() == [
        ("pump-1", "north", "2.0", "guard 1.5.0"),
        ("pump-2", None, "2.0", "guard 1.4.0"),
    ]


def _span(device: str, site: str | None, hour: int) -> Span:
    day, first = hour / 24, device == "pump-1"
    limit = 60.0 if first and 4 <= day < 5 else 30.0
    made = decision(
        model=NEWER if first and day >= 3 else MODEL,
        inputs={"temperature": 20.0},
        gates=(GateVerdict("dwell", "rule", "pass", "", "minutes", ">=", limit, 70.0),),
        context={"site": site} if site else {},
    )
    at = int((START + timedelta(hours=hour)).timestamp()) * 10**9
    return decision_span(made, start_time_unix_nano=at, end_time_unix_nano=at)
