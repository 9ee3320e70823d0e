"""Decisions that did not happen are told from those that have not arrived, and from those of no cadence."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from observability.monitor.cadence import Cadence, cadence
from observability.store import lake
from observability.store.read import Window
from observability.store.write import Writer
from tests.chains import Chain
from tests.spans import NOON, batch, decision, decision_span
from traces.device import RecordedClock

START = datetime.fromtimestamp(NOON / 1e9, UTC)
MINUTE = 60 * 10**9


def at(minute: float) -> dict[str, int]:
    end = NOON + int(minute * MINUTE)
    return {"start_time_unix_nano": end, "end_time_unix_nano": end}


def write_fleet(store: Path) -> Path:
    """pump-1 numbers what it decides each minute, pump-2 does not; a person asks pump-3 now and then."""
    chain = Chain()
    minutes = [n for n in range(60) if n not in (20, 21, 22)]  # never made
    for minute in minutes:
        chain.decide(**at(minute))
    arrived = [one for n, one in enumerate(chain.sent) if n not in (30, 31, 40, 41)]
    plain = [decision_span(**at(n)) for n in range(60) if n != 30]
    valve = [decision_span(decision("valve.open"), **at(7 * n)) for n in range(8)]
    asked = [decision_span(**at(1.3**n)) for n in range(24)]
    with Writer(store, RecordedClock(NOON + 60 * MINUTE)) as writer:
        writer.write(batch(*arrived, chain.tombstone(40, 41), device="pump-1"))
        writer.write(batch(*plain, *valve, device="pump-2"))
        writer.write(batch(*asked, device="pump-3"))
    return store


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fleet(tmp_path_factory.mktemp("cadence") / "fleet")


@pytest.fixture
def con(fleet: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with lake.connect(fleet) as opened:
        yield opened


def found(
    con: duckdb.DuckDBPyConnection, window: Window | None = None, minute: int = 60
) -> Cadence:
    return cadence(con, window or Window(), START + timedelta(minutes=minute))


def test_numbers_tell_what_was_never_made_from_what_has_not_arrived(con) -> None:
    told = [(one.reason, one.decisions) for one in found(con).missed if one.device_id == "pump-1"]
    assert told == [("dropped on the device", 2), ("not arrived yet", 2), ("never made", 3)]


def test_without_numbers_the_reason_is_not_known(con) -> None:
    (one,) = (one for one in found(con).missed if one.device_id == "pump-2")
    assert (one.reason, one.decisions, one.cadence_s) == ("unknown", 1, 60)
    assert (one.from_at, one.to_at) == (
        START + timedelta(minutes=29),
        START + timedelta(minutes=31),
    )


def test_nothing_is_expected_where_there_is_no_cadence(con) -> None:
    told = found(con)
    assert told.expected["device_id"].to_list() == ["pump-1", "pump-2"]
    assert told.irregular == 2  # pump-3, and the valve of which too little is known


def test_a_window_has_the_gaps_that_end_in_it(con) -> None:
    window = Window(START + timedelta(minutes=25), START + timedelta(minutes=34))
    assert [one.device_id for one in found(con, window).missed] == ["pump-2"]


def test_what_fell_silent_is_silent_by_the_rule_of_the_fleet(con) -> None:
    assert [one.device_id for one in found(con, minute=70).silent] == []
    told = {(one.device_id, one.decision_type): one for one in found(con, minute=80).silent}
    assert ("pump-1", "pump.stop") in told
    assert told["pump-1", "pump.stop"].quiet_s == 21 * 60
    assert told["pump-1", "pump.stop"].since == START + timedelta(minutes=59)
    assert ("pump-2", "valve.open") not in told


def test_a_silent_device_was_due_to_decide_as_often_as_its_cadence_says(con) -> None:
    told = {(one.device_id, one.decision_type): one for one in found(con, minute=80).silent}
    assert told["pump-1", "pump.stop"].due == 21
    assert all(one.due is None for one in told.values() if one.device_id == "pump-3")


def test_of_one_device_is_told_what_the_fleet_tells_of_it(con) -> None:
    whole = found(con)
    alone = cadence(con, Window(), whole.now, "pump-1")
    assert alone.missed == tuple(one for one in whole.missed if one.device_id == "pump-1")
    assert alone.expected["device_id"].to_list() == ["pump-1"]


def test_nobody_is_silent_where_most_recordings_just_end(con) -> None:
    assert found(con, minute=600).silent == ()


def test_a_script_reads_the_same_cadence_from_a_view(con) -> None:
    asked = "FROM cadence WHERE has_cadence ORDER BY decision_type, device_id"
    view = con.sql(f"SELECT decision_type, device_id, cadence_s, gaps, regular {asked}").pl()
    assert view.equals(found(con).expected)


def test_an_empty_store_expects_nothing(store: Path) -> None:
    with lake.connect(store) as con:
        told = found(con)
    assert (told.expected.height, told.irregular, told.missed, told.silent) == (0, 0, (), ())
