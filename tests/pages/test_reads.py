"""What the pages' queries say, over a real store, and what of it is called a concern."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import duckdb
import polars as pl
import pytest

from observability.figures.timeline import timeline
from observability.store import lake
from observability.store.read import Freshness, Window, freshness
from observability.store.read_attention import concerns, silent, verdict
from observability.store.read_decisions import LISTED, Filters, bucket_width, choices, matching
from observability.store.read_fleet import Fleet, Totals, fleet
from observability.store.read_surroundings import surroundings
from observability.store.stored import StoredDecision, stored_decision
from pages.components import as_of
from tests.pages.seed import START, TRAP

NOW = datetime(2024, 5, 2, tzinfo=UTC)


@pytest.fixture
def con(seeded) -> Iterator[duckdb.DuckDBPyConnection]:
    with lake.connect(seeded.store) as opened:
        yield opened


def device(
    name: str, *, quiet: timedelta, every: timedelta, decisions: int = 100
) -> dict[str, object]:
    return {
        "device_id": name,
        "last_decided_at": NOW - quiet,
        "mean_interval_s": every.total_seconds(),
        "decisions_ever": decisions,
    }


def a_fleet(
    *,
    devices: list[dict[str, object]] | None = None,
    gates: list[tuple[str, int, int]] | None = None,
    rejects: list[tuple[str, int, int]] | None = None,
    conflicts: int = 0,
    limits: pl.DataFrame | None = None,
) -> Fleet:
    rows = devices or [device("calm", quiet=timedelta(minutes=1), every=timedelta(minutes=1))]
    return Fleet(
        totals=Totals(devices=len(rows), decisions=400, blocked=0, known=0, newest_decided_at=NOW),
        devices=pl.DataFrame(rows),
        gates=pl.DataFrame(gates or [], schema=["gate", "judged", "blocked"], orient="row"),
        limits=pl.DataFrame(schema=["gate"]) if limits is None else limits,
        people=pl.DataFrame(schema={"gate": pl.String, "run": pl.Int64, "chosen": pl.Boolean}),
        versions=pl.DataFrame(schema=["decision_type", "model_name"]),
        rejects=pl.DataFrame(rejects or [], schema=["reason", "rejected", "devices"], orient="row"),
        conflicts=conflicts,
        strange_models=pl.DataFrame(
            schema=["model", "model_digest", "decisions", "devices", "other_digest"]
        ),
    )


def test_a_calm_fleet_has_no_concern_and_says_so() -> None:
    found = concerns(a_fleet(), NOW, recorded=False)
    assert found == ()
    said = verdict(a_fleet(), found, "in the last 7 days")
    assert said == "Nothing is wrong: 1 device made 400 decisions in the last 7 days."


def test_a_device_is_silent_by_its_own_habit_not_by_the_clock() -> None:
    hourly, minutely = timedelta(hours=1), timedelta(minutes=1)
    rows = [
        device("hourly, two hours quiet", quiet=2 * hourly, every=hourly),
        device("minutely, two hours quiet", quiet=2 * hourly, every=minutely),
        device("each second, ten minutes quiet", quiet=10 * minutely, every=timedelta(seconds=1)),
        device("new, two hours quiet", quiet=2 * hourly, every=minutely, decisions=4),
    ]
    assert silent(pl.DataFrame(rows), NOW)["device_id"].to_list() == ["minutely, two hours quiet"]


def test_a_silent_device_is_wrong_and_is_named_first() -> None:
    rows = [
        device("a", quiet=timedelta(hours=2), every=timedelta(minutes=1)),
        device("b", quiet=timedelta(0), every=timedelta(minutes=1)),
    ]
    found = concerns(a_fleet(devices=rows, gates=[("often", 100, 60)]), NOW, recorded=False)
    assert [concern.kind for concern in found] == ["silent", "gate"]
    assert found[0].filters == {"device": "a"}
    assert found[0].reason == "no decision for 120 times its usual interval"
    assert verdict(a_fleet(), found, "") == "Needs attention: Device a is silent."


def test_recordings_that_end_are_no_fault() -> None:
    rows = [device(str(n), quiet=timedelta(hours=2), every=timedelta(minutes=1)) for n in range(3)]
    assert concerns(a_fleet(devices=rows), NOW, recorded=True) == ()
    rows += [device(f"on {n}", quiet=timedelta(0), every=timedelta(minutes=1)) for n in range(5)]
    found = concerns(a_fleet(devices=rows), NOW, recorded=True)
    assert [concern.wrong for concern in found] == [False]


@pytest.mark.parametrize(
    ("judged", "blocked", "listed"),
    [(9, 9, False), (10, 10, True), (10, 2, False), (1000, 99, False), (1000, 130, True)],
)
def test_a_gate_is_listed_only_on_evidence(judged: int, blocked: int, listed: bool) -> None:
    found = concerns(a_fleet(gates=[("g", judged, blocked)]), NOW, recorded=False)
    assert bool(found) is listed


@pytest.mark.parametrize(("devices", "listed"), [(2, True), (5, False), (10, False)])
def test_another_limit_is_listed_where_it_is_that_of_a_few_devices(
    devices: int, listed: bool
) -> None:
    row = {"gate": "flow", "limit": 5.0, "usual": 8.0, "devices": devices, "all_devices": 10}
    times = {"judged": 9, "blocked": 3, "first_at": NOW, "last_at": NOW}
    found = concerns(a_fleet(limits=pl.DataFrame([row | times])), NOW, recorded=False)
    assert bool(found) is listed


def test_rejects_and_conflicts_are_wrong_and_keep_their_reason() -> None:
    found = concerns(a_fleet(rejects=[("found nothing", 2, 1)], conflicts=1), NOW, recorded=False)
    assert [(concern.title, concern.wrong) for concern in found] == [
        ("2 spans rejected", True),
        ("1 conflicting span", True),
    ]
    assert found[0].reason == "found nothing; from 1 known device"


def test_totals_count_what_lies_in_the_window(con) -> None:
    everything = fleet(con, Window()).totals
    first_hour = fleet(con, Window(START, START + timedelta(hours=1, seconds=1))).totals
    assert (everything.devices, everything.decisions, everything.known) == (8, 448, 312)
    assert (first_hour.devices, first_hour.decisions) == (4, 24)


def test_filters_narrow_together_and_the_bars_hold_what_the_summary_counts(con) -> None:
    asked = Filters(device="pump-1", disposition="blocked", gate="minimum_dwell")
    found = matching(con, asked)
    assert found.decisions == found.blocked == found.newest.height == 24
    assert found.over_time["decisions"].sum() == 24
    assert matching(con, Filters(device="pump-1", outcome=False)).decisions == 44
    assert matching(con, Filters(model="ghost 0.1")).newest["device_id"].to_list() == ["pump-7"]
    assert matching(con, Filters(gate="sensor_plausible")).decisions == 0


def test_the_newest_are_listed_first_with_their_last_outcome(con) -> None:
    newest = matching(con, Filters(device="pump-1")).newest
    assert newest.height <= LISTED
    assert newest["decided_at"].is_sorted(descending=True)
    assert set(newest["outcome"].drop_nulls()) == {"worn", "sound"}


def test_choices_hold_every_value_there_is(con) -> None:
    offered = choices(con, Window())
    assert offered["action"] == (TRAP, "run", "stop")
    assert offered["gate"] == (TRAP, "minimum_dwell", "sensor_plausible")
    assert offered["model"] == ("ghost 0.1", f"pump-wear {TRAP}", "pump-wear 1.0.0")


def test_neighbours_are_the_decisions_of_the_device_just_before_and_after(con, seeded) -> None:
    query = "SELECT decision_id FROM decisions WHERE device_id = 'pump-1' ORDER BY decided_at"
    own = [decision_id for (decision_id,) in con.execute(query).fetchall()]
    assert len(own) == 144
    for at in (0, 1, own.index(seeded.stopped), 142, 143):
        around = surroundings(con, _stored(con, own[at]))
        beside = (around.previous, around.next)
        found = [near.decision_id if near else None for near in beside]
        assert found == [own[at - 1] if at else None, own[at + 1] if at < 143 else None]
        for near in filter(None, beside):
            assert _stored(con, near.decision_id).decided_at == near.decided_at


def test_a_time_axis_never_needs_more_bars_than_fit() -> None:
    for hours in (0.001, 1, 24, 24 * 7, 24 * 365 * 3):
        span = timedelta(hours=hours)
        assert span / bucket_width(NOW, NOW + span) <= 80


def test_the_timeline_stacks_dispositions_and_loses_none(con) -> None:
    found = matching(con, Filters())
    figure = timeline(found.over_time, found.bucket_width)
    assert [bars.name for bars in figure.data] == ["executed", "blocked"]
    assert sum(sum(bars.y) for bars in figure.data) == found.decisions


def test_recorded_time_stands_still_and_real_time_falls_behind(con) -> None:
    recorded = freshness(con)
    assert recorded.recorded
    assert recorded.now(NOW + timedelta(days=900)) == recorded.newest_received_at
    real = Freshness(NOW, recorded=False)
    assert real.behind_s(NOW + timedelta(seconds=42)) == 42
    assert as_of(Freshness(None, recorded=False)) == "no data received yet"
    assert "behind" in as_of(real)


def _stored(con: duckdb.DuckDBPyConnection, decision_id: str) -> StoredDecision:
    stored = stored_decision(con, decision_id)
    assert stored is not None
    return stored
