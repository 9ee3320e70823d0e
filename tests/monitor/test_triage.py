"""A small fleet with known troubles in a real store: each is found, named and placed, and nothing else."""

from __future__ import annotations

import functools
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from observability.monitor.baseline import usual_of
from observability.monitor.drift_findings import drift_findings, troubles_now
from observability.monitor.quality import Break
from observability.monitor.triage import Trouble, triage, watch_all
from observability.monitor.verdict import Verdict
from observability.monitor.watched import Watched
from observability.store import lake, read_drift
from tests.troubled import (
    CONVERTED,
    DEVICES,
    LOADED,
    SHIFTED,
    START,
    STUCK,
    USUAL,
    healthy,
    recorded,
    troubled,
)


def judged(
    store: Path, until: datetime | None = None
) -> tuple[tuple[Watched, ...], tuple[Trouble, ...]]:
    with lake.connect(store) as con:
        usual = functools.partial(usual_of, con, store)
        watched = watch_all(con, read_drift.decided_types(con), usual, until)
        return watched, triage(con, watched)


@pytest.fixture(scope="module", name="fleet")
def made_once(troubled: Path) -> Path:
    """The troubled fleet that all tests share."""
    return troubled


def test_each_trouble_is_named_and_placed_and_nothing_else_is(fleet: Path) -> None:
    _, found = judged(fleet)
    order = {"temperature": 0, "ambient": 1, "pressure": 2}
    shifted, unit, stuck, load = sorted(found, key=lambda each: order.get(each.inputs[0], 3))
    assert (shifted.verdict, shifted.devices) == (Verdict.DEVICES, ("pump-2",))
    assert abs(shifted.since - (START + timedelta(days=SHIFTED))) <= timedelta(days=2)
    assert shifted.wrong and shifted.to is None
    assert shifted.mean - shifted.usual_mean == pytest.approx(10, abs=1)
    assert (unit.verdict, unit.devices) == (Verdict.UNIT, ("pump-1", "pump-4"))
    assert unit.unit_change is not None
    assert (unit.unit_change.factor, unit.unit_change.offset) == (1.8, 32.0)
    assert (unit.since, unit.to) == (START + timedelta(days=CONVERTED), None)
    assert (stuck.verdict, stuck.broken, stuck.devices) == (Verdict.BREAK, Break.STUCK, ("pump-3",))
    assert stuck.since == START + timedelta(hours=STUCK.start)
    assert stuck.to == START + timedelta(hours=STUCK.stop)
    assert (set(load.inputs), load.devices) == ({"flow", "speed", "current"}, ("pump-5",))
    assert not load.wrong


def test_a_sensor_that_stands_still_at_a_usual_value_is_found_after_one_whole_day(
    fleet: Path,
) -> None:
    _, (stuck,) = judged(fleet, START + timedelta(days=24))
    assert (stuck.broken, stuck.devices, stuck.to) == (Break.STUCK, ("pump-3",), None)
    assert stuck.since == START + timedelta(hours=STUCK.start)
    assert stuck.psi > 0


def test_an_input_that_alarms_first_is_the_process_where_others_move_with_it(fleet: Path) -> None:
    watched, found = judged(fleet, START + timedelta(days=LOADED + 2))
    (load,) = (each for each in found if each.devices == ("pump-5",))
    alarmed = {n for w in watched for n in w.drift.names if w.alarmed_on("pump-5", n)}
    assert alarmed == {"flow"}
    assert set(load.inputs) == {"flow", "speed", "current"}
    assert not load.wrong


def test_what_stands_and_is_wrong_comes_first(fleet: Path) -> None:
    _, found = judged(fleet)
    assert [each.wrong for each in found] == [True, True, True, False]
    assert [each.to is None for each in found] == [True, True, False, True]


def test_a_healthy_fleet_has_no_trouble_and_says_how_much_was_judged(tmp_path: Path) -> None:
    watched, found = judged(recorded(tmp_path / "fleet", healthy))
    assert found == ()
    assert [each.judged for each in watched] == [len(USUAL) * (len(DEVICES) + 1)]


def test_a_short_baseline_judges_nothing_and_says_why(tmp_path: Path) -> None:
    watched, found = judged(recorded(tmp_path / "fleet", troubled, days=27))
    assert found == ()
    (only,) = watched
    assert only.judged == 0
    assert {reason.value for reason in only.evidence.insufficient} == {
        "fewer than 14 baseline days of 20 values to compare"
    }


def test_the_command_says_the_same_in_words_and_in_json(fleet: Path, capsys: Any) -> None:
    from observability.cli import main

    assert main(["drift", "--store", str(fleet), "--window", "2026-01-01T00:00:00Z"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("4 troubles in 36 streams that can be judged, as of ")
    assert any(
        "temperature on pump-2 (1 of 5)" in line and ", still; PSI " in line for line in lines
    )
    assert main(["drift", "--store", str(fleet), "--window", "2026-01-01T00:00:00Z", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["streams_judged"] == 36
    assert {each["verdict"] for each in said["troubles"]} == {
        "device-local shift",
        "unit change",
        "data-quality break",
    }


def test_what_is_wrong_and_stands_is_a_finding_where_a_reference_is_registered(fleet: Path) -> None:
    _, found = judged(fleet)
    unit, shifted = drift_findings(found)
    assert unit.title == "ambient on 2 devices (pump-1, pump-4): unit change"
    assert "values are 1.8 times what they were plus 32; since 2026-01-26 00:00 UTC" in unit.reason
    assert (shifted.subject, shifted.decision_type) == ("temperature", "pump.stop")
    assert shifted.size == found[1].psi
    with lake.connect(fleet) as con:
        assert troubles_now(con, fleet) == ()
