"""The truth file and the data agree: each trouble is there, from its minute on, on its devices only."""

import json
import math
from collections import Counter
from datetime import timedelta

import pytest

from observability.fleet.world.troubles import (
    BIAS,
    GATE,
    KINDS,
    LOAD,
    OPERATOR,
    OUTAGE,
    RELEASE,
    SILENT,
    STUCK,
    UNIT,
)
from traces import Decision, Outcome


@pytest.fixture(scope="package")
def differences(decisions, healthy_decisions):
    """(event, input, reading, healthy reading) wherever the two worlds read differently."""
    return [
        (event, name, value, other.body.inputs[name])
        for key, event in decisions.items()
        if (other := healthy_decisions.get(key)) is not None
        for name, value in event.body.inputs.items()
        if value != other.body.inputs[name]
    ]


def affected(decisions, trouble, type_=None, name=None):
    return [
        event
        for event in decisions.values()
        if event.device_id in trouble.devices
        and trouble.holds(event.decided_at_ns)
        and (type_ is None or event.body.type == type_)
        and (name is None or name in event.body.inputs)
    ]


def test_readings_differ_from_a_healthy_world_only_where_the_truth_says_so(differences, trouble):
    told = [trouble[kind] for kind in (BIAS, STUCK, UNIT)]
    for event, name, _, _ in differences:
        by_sensor = any(
            t.input == name and event.device_id in t.devices and t.holds(event.decided_at_ns)
            for t in told
        )
        load = trouble[LOAD]
        assert by_sensor or (event.device_id in load.devices and load.holds(event.decided_at_ns)), (
            event.device_id,
            name,
        )


def test_the_biased_sensor_reads_its_offset_too_much_from_that_minute_on(
    decisions, healthy_decisions, trouble
):
    bias = trouble[BIAS]
    reads = affected(decisions, bias, name=bias.input)
    assert len(reads) > 100
    for event in reads:
        truth = healthy_decisions[event.decision_id].body.inputs[bias.input]
        assert event.body.inputs[bias.input] == pytest.approx(
            truth + bias.parameters["offset"], abs=0.011
        )
    first = min(event.decided_at_ns for event in reads)
    assert first - bias.begins_ns < 15 * 60 * 10**9 + 5 * 10**9


def test_the_stuck_sensor_reads_one_value_wherever_it_is_read(decisions, trouble):
    stuck = trouble[STUCK]
    reads = affected(decisions, stuck, name=stuck.input)
    assert {event.body.type for event in reads} == {"pump.stop", "valve.throttle"}
    assert {event.body.inputs[stuck.input] for event in reads} == {stuck.parameters["value"]}


def test_the_stuck_sensor_holds_what_it_last_read(decisions, trouble):
    stuck = trouble[STUCK]
    before = [
        event
        for event in decisions.values()
        if event.device_id in stuck.devices
        and event.body.type == "pump.stop"
        and event.decided_at_ns < stuck.begins_ns
    ]
    last = max(before, key=lambda event: event.decided_at_ns)
    assert last.body.inputs[stuck.input] == stuck.parameters["value"]


def test_the_changed_unit_has_the_factor_and_the_offset(decisions, healthy_decisions, trouble):
    unit = trouble[UNIT]
    reads = affected(decisions, unit, name=unit.input)
    assert {event.device_id for event in reads} == set(unit.devices)
    for event in reads:
        truth = healthy_decisions[event.decision_id].body.inputs[unit.input]
        expected = truth * unit.parameters["factor"] + unit.parameters["offset"]
        assert event.body.inputs[unit.input] == pytest.approx(expected, abs=0.016)


def test_the_unit_changes_with_the_firmware_and_is_repaired_by_the_next(world, trouble):
    unit = trouble[UNIT]
    assert unit.ends is not None
    for device in world.devices:
        during = world.resource(device.device_id, unit.begins)["service.version"]
        assert (during == unit.parameters["firmware"]) == (device.device_id in unit.devices)
        if device.device_id in unit.devices:
            after = world.resource(device.device_id, unit.ends)["service.version"]
            assert after == unit.parameters["repaired_by"]


def test_a_firmware_update_boots_the_device(decisions, trouble):
    unit = trouble[UNIT]
    device = unit.devices[0]
    of_device = [event for event in decisions.values() if event.device_id == device]
    boots = {event.body.clock.boot_id for event in of_device if unit.holds(event.decided_at_ns)}
    others = {
        event.body.clock.boot_id for event in of_device if not unit.holds(event.decided_at_ns)
    }
    assert len(boots) == 1 and not boots & others


def test_the_load_of_one_site_rises_and_is_called_benign(decisions, healthy_decisions, trouble):
    load = trouble[LOAD]
    assert load.parameters["benign"] is True
    ramped_ns = load.begins_ns + load.parameters["ramp_hours"] * 3600e9
    rises = [
        event.body.inputs["flow"] - healthy_decisions[event.decision_id].body.inputs["flow"]
        for event in affected(decisions, load, "valve.throttle")
        if event.decided_at_ns > ramped_ns
    ]
    usual = [
        event.body.inputs["flow"]
        for event in healthy_decisions.values()
        if event.device_id in load.devices and event.decided_at_ns > ramped_ns
    ]
    rise = sum(rises) / len(rises) / (sum(usual) / len(usual))
    assert rise == pytest.approx(load.parameters["factor"] - 1, abs=0.02)


def test_the_bad_release_runs_on_its_devices_until_the_rollback(decisions, trouble):
    bad = trouble[RELEASE]
    for event in decisions.values():
        if event.body.type == "pump.stop":
            there = event.device_id in bad.devices and bad.holds(event.decided_at_ns)
            assert event.body.model.version == ("1.1.0" if there else "1.0.0")


def test_the_bad_release_raises_the_share_of_wrong_stops(events, decisions, trouble):
    biased = trouble[BIAS].devices
    found = {"1.0.0": Counter(), "1.1.0": Counter()}
    for event in events:
        if isinstance(event.body, Outcome) and event.device_id not in biased:
            about = decisions[event.decision_id].body
            if about.type == "pump.stop" and about.action == "stop":
                found[about.model.version][event.body.label] += 1
    usual, bad = (counts["no_fault"] / counts.total() for counts in found.values())
    assert bad > 2 * usual


def test_the_gate_has_the_wrong_limit_at_one_site_and_blocks_more(decisions, trouble):
    gate = trouble[GATE]
    blocks = Counter()
    for event in decisions.values():
        for verdict in event.body.gates:
            if verdict.name == gate.parameters["gate"]:
                wrong = event.device_id in gate.devices and gate.holds(event.decided_at_ns)
                expected = gate.parameters["limit" if wrong else "usual_limit"]
                assert verdict.limit == expected
                blocks[wrong, verdict.verdict] += 1
    share = {
        wrong: blocks[wrong, "block"] / (blocks[wrong, "block"] + blocks[wrong, "pass"])
        for wrong in (True, False)
    }
    assert share[True] > 0.3 > 0.05 > share[False]


def test_the_outage_cuts_its_devices_off_for_six_hours_in_which_they_decide_on(
    world, events, trouble
):
    outage = trouble[OUTAGE]
    within = [e for e in events if e.device_id in outage.devices and outage.holds(e.decided_at_ns)]
    assert sum(isinstance(event.body, Decision) for event in within) == 3 * 2 * 6 * 4
    begins, ends = outage.begins, outage.begins + timedelta(hours=6)
    for device in world.devices:
        named = device.device_id in outage.devices
        at = (begins - timedelta(seconds=1), begins, ends - timedelta(seconds=1), ends)
        cut_off = [world.is_cut_off(device.device_id, instant) for instant in at]
        assert cut_off == [False, named, named, False]


def test_the_silent_device_has_no_events_from_then_on(events, trouble):
    silent = trouble[SILENT]
    of_device = [event for event in events if event.device_id in silent.devices]
    decided = [event for event in of_device if isinstance(event.body, Decision)]
    assert max(event.decided_at_ns for event in decided) < silent.begins_ns
    assert silent.begins_ns - max(e.decided_at_ns for e in decided) < 16 * 60 * 10**9


def test_one_operator_approves_everything_and_at_once(decisions, trouble):
    stamper = trouble[OPERATOR]
    said, waits = Counter(), []
    for event in decisions.values():
        for verdict in event.body.gates:
            if verdict.kind == "human":
                hers = event.body.context["operator"] == stamper.parameters[
                    "operator"
                ] and stamper.holds(event.decided_at_ns)
                said[hers, verdict.verdict] += 1
                if hers:
                    waits.append(event.body.context["approval_response_s"])
    assert said[True, "pass"] >= 10
    assert not said[True, "block"] and not said[True, "defer"]
    assert said[False, "block"] and said[False, "defer"]
    assert max(waits) < 10


def test_the_baseline_has_no_trouble(world):
    ends = world.start + timedelta(days=world.baseline_days)
    assert all(trouble.begins >= ends for trouble in world.truth())


def test_the_truth_file_names_every_kind_once(world):
    entries = json.loads(world.truth_json())
    assert sorted(entry["kind"] for entry in entries) == sorted(KINDS)
    for entry in entries:
        assert list(entry) == ["kind", "devices", "input", "from", "to", "parameters"]
        assert entry["from"].endswith("Z") and set(entry["devices"]) <= {
            device.device_id for device in world.devices
        }


def test_healthy_devices_stay_within_the_band_of_their_baseline(world, healthy_decisions):
    days = {}
    start_ns = round(world.start.timestamp()) * 10**9
    for event in healthy_decisions.values():
        day = (event.decided_at_ns - start_ns) // (86400 * 10**9)
        for name, value in event.body.inputs.items():
            total = days.setdefault((event.device_id, event.body.type, name), {})
            count, summed = total.get(day, (0, 0.0))
            total[day] = (count + 1, summed + value)
    beyond = []
    for per_day in days.values():
        means = [summed / count for _, (count, summed) in sorted(per_day.items())]
        baseline, later = means[: world.baseline_days], means[world.baseline_days :]
        middle = sum(baseline) / len(baseline)
        spread = math.sqrt(sum((m - middle) ** 2 for m in baseline) / (len(baseline) - 1))
        beyond += [abs(mean - middle) > 4 * spread for mean in later]
    assert sum(beyond) / len(beyond) < 0.02
