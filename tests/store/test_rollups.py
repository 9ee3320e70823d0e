"""The sum of what devices decided over all time is exact, however much of it is kept beforehand."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from observability.store import lake, maintain
from observability.store.maintain_files import Step
from observability.store.maintain_rollups import roll_up
from observability.store.read import Window
from observability.store.read_device import known
from observability.store.read_fleet import fleet
from observability.store.read_rollups import pulses, rollup
from observability.store.write import Writer
from tests.spans import NOON, batch, decision, decision_span
from traces import ModelVersion, Recommendation
from traces.device import RecordedClock

HOUR_NS = 3600 * 10**9
BELIEVED = "FILTER (abs(datesub('hour', decided_at, received_at)) < 24)"
COUNTED = f"""
SELECT device_id, decision_type, model_name, model_version, model_digest, resource_id, recommendation,
    count(*), min(decided_at), max(decided_at), max_by(decision_id, decided_at),
    max_by(action, decided_at), max_by(disposition, decided_at), min(decided_at) {BELIEVED},
    max(decided_at) {BELIEVED}, min(received_at), max(received_at)
FROM decisions GROUP BY ALL ORDER BY ALL
"""  # noqa: S608


class Store:
    """A store of recorded time into which devices decide."""

    def __init__(self, folder: Path) -> None:
        self.clock = RecordedClock(NOON)
        self.writer = Writer(folder, self.clock)
        self.con = lake.cursor(self.writer.con)
        self._seeded = random.Random(7)  # noqa: S311
        self._hours = 0

    def commit(self, hours: int = 1) -> None:
        """A decision of each of two devices, by chance of another version, without a proposal, late."""
        self._hours += hours
        self.clock.set(NOON + self._hours * HOUR_NS)
        for device in ("pump-07", "pump-08"):
            chance = self._seeded.random()
            end = NOON + self._hours * HOUR_NS - (chance > 0.7) * 5 * HOUR_NS + int(chance * 1e9)
            proposed = None if chance < 0.2 else Recommendation("stop" if chance > 0.5 else "run")
            model = ModelVersion("pump", "2" if chance > 0.6 else "1", f"sha256:{'0' * 64}")
            made = decision(model=model, recommendation=proposed)
            times = {"start_time_unix_nano": end, "end_time_unix_nano": end}
            self.writer.write(batch(decision_span(made, **times), device=device))

    def roll_up(self, at_least: int = 1) -> list[Step]:
        return list(roll_up(self.writer, self.con, at_least))

    def read(self) -> list[tuple[Any, ...]]:
        return sorted(rollup(self.con).rows(), key=str)

    def counted(self) -> list[tuple[Any, ...]]:
        return sorted(self.con.sql(COUNTED).pl().rows(), key=str)

    def kept(self) -> int:
        return self.con.sql("SELECT coalesce(sum(decisions), 0) FROM rollups").fetchall()[0][0]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "fleet")
    yield made
    made.con.close()
    made.writer.close()


def test_what_is_kept_and_what_came_since_add_up_to_all_that_is_stored(store: Store) -> None:
    assert store.read() == []
    assert store.roll_up() == []
    for part in range(5):
        store.commit()
        assert store.read() == store.counted()
        if part % 3 == 0:
            store.roll_up()
            assert store.kept() == 2 * (part + 1)
            assert store.read() == store.counted()
    assert store.roll_up(at_least=3) == []
    assert [(step.what, step.count) for step in store.roll_up()] == [("rolled up", 2)]
    assert store.roll_up() == []


def test_what_expires_leaves_the_sum_with_its_rows(store: Store) -> None:
    for _ in range(8):
        store.commit(hours=6)
    store.roll_up()
    assert store.kept() == 16
    before = store.counted()
    done = maintain.begin(store.con, 1)
    for step in maintain.steps(store.writer, done):
        assert store.read() == store.counted(), step
    assert 0 < store.kept() < 16
    assert store.read() != before


def test_pages_say_the_same_of_all_time_before_and_after(store: Store) -> None:
    for _ in range(8):
        store.commit()
    window = Window(
        *store.con.sql("SELECT median(decided_at), max(decided_at) FROM decisions").fetchall()[0]
    )
    plain, device = fleet(store.con, window), known(store.con, "pump-07", window)
    store.roll_up()
    kept = fleet(store.con, window)
    assert kept.devices.equals(plain.devices)
    assert kept.versions.sort(kept.versions.columns).equals(
        plain.versions.sort(kept.versions.columns)
    )
    again = known(store.con, "pump-07", window)
    assert device and again and device.types.equals(again.types)
    (one, _) = pulses(rollup(store.con)).iter_rows(named=True)
    asked = "SELECT max(decided_at), count(*), epoch(max(decided_at) - min(decided_at)) / 7 FROM decisions"
    last, count, interval_s = store.con.sql(f"{asked} WHERE device_id = 'pump-07'").pl().row(0)
    assert (one["last_decided_at"], one["decisions_ever"]) == (last, count)
    assert one["mean_interval_s"] == pytest.approx(interval_s)
