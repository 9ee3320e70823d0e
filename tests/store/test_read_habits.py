"""A person who passes everything and a version that acts more are named, and chance is not."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from observability.collect.serving import serving
from observability.store import lake
from observability.store.read import Window
from observability.store.read_attention import concerns
from observability.store.read_fleet import fleet
from observability.store.read_habits import acting_otherwise, chance_of, passing_all
from traces import Decision, GateVerdict, ModelVersion, Recommendation
from traces.device import RecordedClock, Recorder

AT = datetime(2026, 3, 2, tzinfo=UTC)
PEOPLE = [
    *("gate", "person", "judged", "passed", "run", "run_since"),
    *("run_answer_s", "answer_s", "chosen"),
]
VERSIONS = [
    *("decision_type", "model_name", "model_version", "device_id", "recommendation"),
    *("decisions", "first_at", "chosen"),
]
OTHERS = ("other", 200, 140, 1, 100.0, 100.0)


def people(*rows, chosen=True):
    return pl.DataFrame(
        [("approval", *row[:4], AT, *row[4:], chosen) for row in rows],
        schema=PEOPLE,
        orient="row",
    )


def versions(*rows):
    """Rows of (version, device, usual, acted, day of its first decision)."""
    return pl.DataFrame(
        [
            ("pump.stop", "pump-stop", version, device, said, n, AT + timedelta(days=day), n)
            for version, device, usual, acted, day in rows
            for said, n in (("run", usual), ("stop", acted))
        ],
        schema=VERSIONS,
        orient="row",
    )


def test_who_passes_everything_at_once_is_named_with_what_is_usual():
    [found] = passing_all(people(OTHERS, ("quick", 40, 31, 22, 4.0, 60.0)))
    assert (found.person, found.run, found.answer_s) == ("quick", 22, 4.0)
    assert (found.others_passed, found.others_judged, found.others_answer_s) == (149, 218, 100.0)


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(("slow", 40, 31, 22, 90.0, 90.0), id="takes the others' time"),
        pytest.param(("few", 9, 9, 9, 4.0, 4.0), id="judged too few"),
    ],
)
def test_many_passes_alone_name_nobody(row):
    assert passing_all(people(OTHERS, row)) == []


def test_a_person_is_not_compared_with_nobody_nor_named_outside_the_window():
    quick = ("quick", 40, 31, 22, 4.0, 60.0)
    assert passing_all(people(quick)) == []
    assert passing_all(people(OTHERS, quick, chosen=False)) == []


def test_a_version_that_acts_more_on_each_device_is_named_with_its_shares():
    rows = [row for n in range(12) for row in (("1.0", n, 950, 50, 0), ("1.1", n, 160, 40, 9))]
    [found] = acting_otherwise(versions(*rows))
    assert (found.model, found.action) == ("pump-stop 1.1", "stop")
    assert (found.devices, found.agreeing, round(found.factor, 6)) == (12, 12, 4.0)
    assert (found.acted, found.decisions) == (480, 2400)


@pytest.mark.parametrize(
    ("devices", "acted"),
    [
        pytest.param(5, 40, id="on too few devices"),
        pytest.param(12, 11, id="about as often"),
    ],
)
def test_a_version_is_not_named_without_evidence(devices, acted):
    rows = [
        row
        for n in range(devices)
        for row in (("1.0", n, 950, 50, 0), ("1.1", n, 200 - acted, acted, 9))
    ]
    assert acting_otherwise(versions(*rows)) == []


def test_a_version_that_acts_on_half_of_the_devices_only_may_be_chance():
    rows = [row for n in range(12) for row in (("1.0", n, 950, 50, 0),)]
    rows += [("1.1", n, 200 - 80 * (n % 2), 80 * (n % 2), 9) for n in range(12)]
    assert acting_otherwise(versions(*rows)) == []


def test_one_device_that_moved_a_little_the_other_way_hides_no_version():
    rows = [row for n in range(12) for row in (("1.0", n, 950, 50, 0),)]
    rows += [("1.1", n, 160, 40 + n, 9) for n in range(11)] + [("1.1", 11, 198, 2, 9)]
    [found] = acting_otherwise(versions(*rows))
    assert (found.devices, found.agreeing) == (12, 11)


def test_chance_is_that_of_signed_ranks():
    assert chance_of(pl.Series([0.1, 0.2, 0.3, 0.4])) == 1 / 2**4
    assert chance_of(pl.Series([0.4, -0.1, 0.2, 0.3])) == 2 / 2**4
    assert chance_of(pl.Series([-0.4, 0.1, 0.2, 0.3])) == 7 / 2**4


def test_what_a_store_holds_is_named_on_the_fleet_page(tmp_path):
    store = tmp_path / "fleet"
    clock = RecordedClock(int(AT.timestamp()) * 10**9)
    with serving(store, clock) as url:
        for device in range(10):
            _decide(f"pump-{device}", f"{url}/v1/traces", clock)
    with lake.connect(store) as con:
        found = concerns(fleet(con, Window(None, None)), AT + timedelta(days=9), recorded=True)
    said = {one.kind: f"{one.title}: {one.reason}" for one in found}
    assert said["version"] == (
        "Version guard 2 recommends stop 3.0 times as often: 60.0% of 600 decisions; with the "
        "versions before 20.0% of 600 on the same devices; so on 10 of 10"
    )
    assert said["limit"].startswith(
        "Gate flow has another limit on 2 devices: 5 instead of 8, 2026-"
    )
    assert said["limit"].endswith("UTC: 0 of 72 blocked")
    assert said["person"].startswith("stamp passes everything at approval: 360 of 360 since 2026-")
    assert "otherwise 50% of 120 are passed there, after 120 s (medians)" in said["person"]


def _decide(device, url, clock):
    """60 decisions by version 1, a fifth of them stops; then 60 by version 2, three fifths."""
    recorder = Recorder(device_id=device, service="s", exporter=OTLPSpanExporter(url), clock=clock)
    for version, fifths, person, answer_s in (("1", 1, "careful", 120), ("2", 3, "stamp", 2)):
        for n in range(60):
            stops = n % 5 < fifths
            blocks = stops and person == "careful" and n % 10 < 5
            limit = 5.0 if device in ("pump-0", "pump-1") and version == "2" else 8.0
            gates = (
                GateVerdict("flow", "rule", "pass", input="flow", operator="<=", limit=limit),
                GateVerdict("approval", "human", "block" if blocks else "pass"),
            )
            decision = Decision(
                type="pump.stop",
                model=ModelVersion("guard", version, "sha256:" + "0" * 64),
                recommendation=Recommendation("stop" if stops else "run", 0.5, 0.5),
                gates=gates if stops else (),
                action="run" if blocks or not stops else "stop",
                disposition="blocked" if blocks else "executed",
                context={"operator": person},
            )
            started = clock.wall_ns()
            clock.set(started + (answer_s if stops else 1) * 10**9)
            recorder.record(decision, started)
    recorder.shutdown()
