import hashlib
import os
import subprocess
import sys
from datetime import UTC, datetime
from itertools import islice

import pytest

from observability.fleet.world.sites import SITES
from observability.fleet.world.world import World
from traces import Decision, Outcome
from traces.codec import decode_decision, encode_decision
from traces.errors import WrongUse
from traces.gates import rejudge

_OTHER_PROCESS = """
import hashlib, sys
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from observability.fleet.world.world import World
world = World(seed=7, days=21, devices=12, start=datetime(2025, 10, 11, 12, tzinfo=UTC))
digest = hashlib.sha256(world.truth_json().encode())
for event in islice(world.events(world.train(Path(sys.argv[1]))), 20_000):
    digest.update(repr(event).encode())
print(digest.hexdigest())
"""


def test_the_same_seed_gives_the_same_bytes_in_another_process(world, folder, models, events):
    digest = hashlib.sha256(world.truth_json().encode())
    for event in events[:20_000]:
        digest.update(repr(event).encode())
    other = subprocess.run(
        [sys.executable, "-c", _OTHER_PROCESS, str(folder)],
        env={**os.environ, "PYTHONHASHSEED": "99"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.strip() == digest.hexdigest()


def test_another_seed_gives_another_world(world):
    other = World(seed=8, days=21, devices=12, start=world.start)
    assert other.truth_json() != world.truth_json()


def test_events_come_in_the_order_of_their_time(events):
    times = [event.decided_at_ns for event in events]
    assert times == sorted(times)


def test_every_device_decides_every_quarter_of_an_hour_and_each_decision_has_its_id(
    healthy, healthy_decisions, healthy_events
):
    # A person is still being asked at the end.
    assert 0 <= 12 * 21 * 96 * 2 - len(healthy_decisions) <= 2
    spans = {event.span_id for event in healthy_events}
    assert len(spans) == len(healthy_events)
    assert all(len(e.trace_id) == 32 and len(e.span_id) == 16 for e in healthy_events)


def test_live_continues_the_history_without_a_seam(world, models, events):
    middle = events[len(events) * 3 // 4].decided_at_ns
    after = [event for event in events if event.decided_at_ns >= middle]
    assert list(islice(world.live(models, middle), 3000)) == after[:3000]


def test_live_goes_on_past_the_end_with_what_still_stands(world, models, decisions, trouble):
    end_ns = round(world.end.timestamp()) * 10**9
    live = list(islice(world.live(models, end_ns), 6000))
    assert all(event.decided_at_ns >= end_ns for event in live)
    decided = {event.decision_id for event in live if isinstance(event.body, Decision)}
    assert not decided & set(decisions)
    assert any(isinstance(e.body, Outcome) and e.decision_id in decisions for e in live)
    assert not any(
        isinstance(e.body, Decision) and e.device_id in trouble["silent_device"].devices
        for e in live
    )


def test_an_outcome_comes_only_of_an_act_or_of_a_failure(events, decisions):
    seen = 0
    for event in events:
        if isinstance(event.body, Outcome):
            about = decisions[event.decision_id].body
            acted = about.action in ("stop", "throttle") and about.disposition == "executed"
            assert acted or event.body.source == "protection_relay"
            assert event.body.observed_unix_nano > decisions[event.decision_id].decided_at_ns
            seen += 1
    assert seen > 500


def test_few_outcomes_come_at_once_and_some_after_days(events, decisions):
    hours = [
        (event.decided_at_ns - decisions[event.decision_id].decided_at_ns) / 3.6e12
        for event in events
        if isinstance(event.body, Outcome) and decisions[event.decision_id].body.type == "pump.stop"
    ]
    assert min(hours) < 1 and max(hours) > 48


def test_a_gate_that_blocks_makes_the_device_do_the_fallback(decisions):
    made = set()
    for event in decisions.values():
        decision = event.body
        verdicts = {verdict.verdict for verdict in decision.gates}
        fallback = {"pump.stop": "run", "valve.throttle": "hold"}[decision.type]
        if verdicts - {"pass"}:
            assert decision.action == fallback
        else:
            assert decision.action == decision.recommendation.action
        made.add(decision.disposition)
    assert made == {"executed", "blocked", "deferred"}


def test_a_rule_gives_its_verdict_again_from_its_record(decisions):
    for event in decisions.values():
        for verdict in event.body.gates:
            assert verdict.kind == "human" or rejudge(verdict) == verdict.verdict


def test_a_person_is_asked_only_of_critical_pumps_whose_rules_passed(world, decisions):
    critical = {device.device_id for device in world.devices if device.critical}
    for event in decisions.values():
        *rules, last = event.body.gates or (None,)
        if last is not None and last.kind == "human":
            assert event.device_id in critical
            assert {rule.verdict for rule in rules} == {"pass"}


def test_decisions_go_through_the_codec_unchanged(decisions):
    for event in islice(decisions.values(), 0, None, 997):
        # By repr: NaN (a person's verdict has no limit) equals itself there.
        assert repr(decode_decision(encode_decision(event.body))) == repr(event.body)


def test_the_duty_operator_is_one_of_the_site(decisions):
    operators = {site.name: set(site.operators) for site in SITES}
    for event in decisions.values():
        assert event.body.context["operator"] in operators[event.body.context["site"]]


@pytest.mark.parametrize(
    "wrong",
    [{"days": 5}, {"devices": 3}, {"seed": -1}, {"start": datetime(2025, 1, 1)}],  # noqa: DTZ001
    ids=["few days", "few devices", "negative seed", "no time zone"],
)
def test_an_argument_that_cannot_be_meant_is_refused(wrong):
    with pytest.raises(WrongUse):
        World(**{"start": datetime(2025, 1, 1, tzinfo=UTC), **wrong})


@pytest.mark.parametrize("devices", [4, 7, 30])
def test_other_numbers_of_devices_have_all_troubles_too(devices):
    world = World(days=6, devices=devices, start=datetime(2025, 1, 1, tzinfo=UTC))
    assert len(world.devices) == devices
    assert all(trouble.devices for trouble in world.truth())


def test_a_device_that_is_not_there_has_no_resource(world):
    with pytest.raises(WrongUse):
        world.resource("no-such", world.start)
