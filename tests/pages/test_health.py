"""Data health: what came late, was rejected or came twice, where it lies, and the page that says so."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from observability.store import lake, maintain
from observability.store.read import Window
from observability.store.read_health import Arrived, Health, health
from observability.store.read_progress import Progress
from observability.store.schema import arrow_table
from observability.store.spells import spells
from observability.store.write import Writer
from pages.progress_parts import sentence
from tests.pages.test_pages import title, words
from tests.spans import NOON, decision, decision_span, decoded, group, span
from traces.codec import encode_decision
from traces.device import RecordedClock

START = datetime.fromtimestamp(NOON / 1e9, UTC)
EVERY = timedelta(minutes=10)
OUTAGE = timedelta(hours=4), timedelta(hours=8)
BROKEN = {**encode_decision(decision()), "decision.disposition": "gone"}


def at(after: timedelta) -> dict[str, int]:
    """The times of a span that ended so long after noon."""
    end = NOON + round(after.total_seconds()) * 10**9
    return {"start_time_unix_nano": end - 10**9, "end_time_unix_nano": end}


def write(store: Path, *sent: tuple[str, list, timedelta]) -> None:
    """Store spans: of which device, which, received so long after noon; in one commit."""
    batches = [
        decoded(group(spans, device)).batch(START + after) for device, spans, after in sent if spans
    ]
    names = dict.fromkeys(name for batch in batches for name in batch)
    clock = RecordedClock(
        NOON + max(after for _, _, after in sent) // timedelta(microseconds=1) * 1000
    )
    with Writer(store, clock) as writer:
        writer.write(
            {n: pa.concat_tables([batch[n] for batch in batches if n in batch]) for n in names}
        )


def troubled(store: Path, *, gap: bool = False) -> Path:
    """Three pumps for twelve hours; two lose their network for four, one span is bad, one conflicts."""
    sent = []
    for device in ("pump-1", "pump-2", "pump-3"):
        for step in range(72):
            after = step * EVERY
            cut = device != "pump-3" and OUTAGE[0] <= after < OUTAGE[1]
            if not (gap and cut and 30 <= step < 40):
                received = (OUTAGE[1] if cut else after) + timedelta(minutes=1)
                sent.append((device, [decision_span(**at(after))], received))
    write(store, *sent)
    return store


@pytest.fixture(scope="module")
def outage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = troubled(tmp_path_factory.mktemp("outage") / "fleet")
    hours = timedelta(hours=9)
    broken = span(BROKEN, "decision pump.stop", **at(hours))
    first = decision_span(**at(hours))
    other = decision_span(
        decision(action="stop"), trace_id=first.trace_id, span_id=first.span_id, **at(hours)
    )
    write(store, ("pump-3", [broken, first], hours))
    write(store, ("pump-3", [other], hours + EVERY))
    return store


def read(store: Path, window: Window | None = None) -> Health:
    with lake.connect(store) as con:
        return health(con, store, window or Window())


def test_an_outage_is_one_block_that_came_late_complete(outage: Path) -> None:
    late = read(outage).late
    assert (late.over_s, late.devices) == (3600.0, 2)
    (spell,) = spells(late.blocks)
    assert spell.device_ids == ("pump-1", "pump-2")
    assert spell.first_at == START + OUTAGE[0]
    assert spell.last_at == START + OUTAGE[1] - timedelta(minutes=60)
    assert spell.received_at == START + OUTAGE[1] + timedelta(minutes=1)
    assert spell.decisions == late.decisions == 2 * 19
    assert spell.complete


def test_late_decisions_with_a_hole_among_them_are_not_called_complete(tmp_path: Path) -> None:
    found = read(troubled(tmp_path / "fleet", gap=True))
    assert [spell.complete for spell in spells(found.late.blocks)] == [False]


def test_a_lag_is_counted_from_the_decision_to_its_receipt(outage: Path) -> None:
    arrived = read(outage).arrived
    assert arrived.decisions == 3 * 72 + 1
    assert arrived.median_lag_s == 60.0
    assert arrived.high_lag_s is not None and arrived.high_lag_s > 3600
    assert arrived.ahead == 0


def test_bars_over_time_hold_every_receipt_of_the_window_and_no_other(outage: Path) -> None:
    everything = read(outage)
    assert everything.over_time["decisions"].sum() == everything.arrived.decisions
    before = read(outage, Window(None, START + timedelta(hours=1)))
    assert before.over_time["decisions"].sum() == before.arrived.decisions == 18
    assert (before.rejected, before.conflicted, before.late.decisions) == (0, 0, 0)


def test_rejects_keep_their_reason_device_and_time(outage: Path) -> None:
    found = read(outage)
    row = found.rejects.row(0, named=True)
    assert (found.rejected, found.reasons, row["rejected"]) == (1, 1, 1)
    assert "gone" in row["reason"]
    assert (row["device_ids"], row["devices"], row["nameless"]) == (["pump-3"], 1, 0)
    assert row["newest_at"] == START + timedelta(hours=9)


def test_a_conflict_names_the_decision_that_is_shown(outage: Path) -> None:
    found = read(outage)
    assert found.conflicted == 1
    row = found.conflicts.row(0, named=True)
    assert (row["device_id"], row["kind"]) == ("pump-3", "decisions")


def test_a_device_whose_clock_is_ahead_is_counted(tmp_path: Path) -> None:
    store = tmp_path / "fleet"
    write(store, ("pump-1", [decision_span(**at(EVERY))], timedelta(0)))
    arrived = read(store).arrived
    assert (arrived.ahead, arrived.ahead_devices) == (1, 1)


def test_the_store_tells_its_files_snapshots_and_that_nobody_maintained_it(outage: Path) -> None:
    storage = read(outage).storage
    files = {row["name"]: row for row in storage.files.iter_rows(named=True)}
    data = list((outage / "data" / "main" / "decisions").rglob("*.parquet"))
    assert files["decisions"]["files"] == len(data)
    assert files["decisions"]["bytes"] == sum(file.stat().st_size for file in data)
    assert (storage.schema_version, storage.clock) == (lake.SCHEMA_VERSION, "recorded")
    assert storage.snapshots > 1
    assert storage.maintained is None
    assert (storage.decisions, storage.retention_days, storage.held) == (217, 184, 0)
    assert storage.oldest_received_at == START + timedelta(minutes=1)
    assert storage.small == 4
    assert storage.bytes > storage.catalog_bytes


def test_the_page_tells_what_maintenance_did_and_what_is_under_hold(
    open_page, tmp_path: Path
) -> None:
    store = troubled(tmp_path / "fleet")
    write(store, ("pump-3", [decision_span(**at(10 * EVERY))], timedelta(hours=10)))
    row = {"hold_id": "I-0001", "device_id": "pump-3", "first_at": START, "released": False}
    with Writer(store) as writer:
        writer.write({"holds": arrow_table("holds", [{**row, "last_at": START + EVERY}])})
        with lake.cursor(writer.con) as con:
            done = maintain.begin(con, 200)
        list(maintain.steps(writer, done))
        maintain.record(writer, done)
    storage = read(store).storage
    assert storage.maintained is not None
    assert (storage.held, storage.retention_days, storage.small) == (2, 200, 0)
    app = open_page("health", store)
    assert not app.exception
    said = words(app)
    for expected in (f"{done.merged} files merged", "200 days from receipt", "2 decisions"):
        assert expected in said


@pytest.mark.parametrize(("behind_s", "still"), [(None, False), (600, False), (901, True)])
def test_a_store_stands_still_after_far_longer_than_usual(behind_s, still: bool) -> None:
    arrived = Arrived(60, 1, 60, START, START + timedelta(minutes=59), 1.0, 0.5, 2.0, 0, 0)
    assert arrived.stands_still(behind_s) is still


def test_the_page_says_first_whether_it_can_be_trusted(open_page, seeded) -> None:
    app = open_page("health", seeded.store)
    assert not app.exception
    assert title(app) == (
        "This screen can be trusted: 448 decisions came in the whole recording, none was rejected."
    )
    said = words(app)
    for expected in ("None: what was decided came in time.", "None was rejected.", "not recorded"):
        assert expected in said
    assert "never" in said


def test_the_page_names_what_to_take_care_of(open_page, outage) -> None:
    app = open_page("health", outage)
    assert not app.exception
    assert title(app).startswith(
        "Trust this screen with care: 1 span rejected; 1 conflicting span in the whole recording"
    )
    assert "2 devices, 2026-01-01 16:00 to 19:00 UTC: 38 decisions came late, complete" in words(
        app
    )
    assert list(app.dataframe[0].value["device_id"]) == ["pump-1", "pump-2"]


def test_a_window_without_receipts_judges_nothing(open_page, outage) -> None:
    app = open_page("health", outage, **{"from": "2030-01-01T00:00Z"})
    assert not app.exception
    assert title(app).startswith("Nothing was received in the chosen time")


def test_an_empty_store_is_no_error(open_page, empty) -> None:
    app = open_page("health", empty)
    assert not app.exception
    assert "no data received yet" in words(app)
    assert title(app).startswith("Nothing was received")


def test_a_folder_that_is_no_store_is_one_sentence(open_page, tmp_path: Path) -> None:
    app = open_page("health", tmp_path / "nowhere")
    assert not app.exception
    assert "expected a store folder" in words(app)


def test_the_page_says_how_far_explaining_has_come(open_page, seeded) -> None:
    said = words(open_page("health", seeded.store)).replace("**", "")
    assert re.search(r"0 of \d+ are explained; \d+ decisions wait, the oldest received", said)
    assert "not registered here" in said
    assert "Last progress: not begun" in said


def test_what_waits_is_told_apart_from_what_is_explained_on_demand() -> None:
    row = {"decisions": 1500, "explained": 60, "on_demand": 1440, "waiting": 0, "lacks": None}
    times = dict.fromkeys(("waiting_since", "newest_decided_at", "looked_at"), START)
    models = pl.DataFrame({**row, **times, "waiting_since": None})
    done = "● **60 of 1,500** are explained, the newest decided 2026-01-01 12:00:00 UTC; "
    found = Progress(models, pl.DataFrame())
    assert sentence(found, START) == f"{done}**1,440** are on demand; none waits."
    behind = models.with_columns(waiting=pl.lit(7), waiting_since=pl.lit(START - EVERY))
    assert "7 decisions** wait, the oldest received 10\u202fmin ago" in sentence(
        Progress(behind, pl.DataFrame()), START
    )
