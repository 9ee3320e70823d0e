"""A simulated world through the real receiver: recorded times, truth, and what is refused."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import observability
from observability.cli import main
from observability.collect.receiver import TRACES_PATH
from observability.collect.recorded import RECEIVED_AT
from observability.collect.serving import serving
from observability.fleet.link import link_to
from observability.fleet.simulate import SimulatedFleet
from observability.fleet.world.event import Event
from observability.fleet.world.world import World
from observability.monitor.backtest import Change, backtest
from observability.monitor.scorecard import Tally, scorecard
from observability.store import lake
from observability.store.read import Window
from traces import Decision, Outcome

SMALL = ("--days", "6", "--devices", "4", "--start", "2026-01-05T00:00:00Z")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("simulated") / "fleet"
    assert main(["simulate", "--store", str(store), *SMALL]) == 0
    return store


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    """What the world tells of the days that are simulated."""
    world = World(7, 6, 4, start=datetime(2026, 1, 5, tzinfo=UTC))
    return list(world.events(world.train(tmp_path_factory.mktemp("models"))))


def test_a_store_is_filled_with_what_the_world_tells(simulated: Path, told: list[Event]) -> None:
    expected = {event.decision_id for event in told}
    with observability.connect(simulated) as con:
        stored = con.sql("SELECT decision_id FROM decisions").fetchall()
        rejects, conflicts = con.sql(
            "SELECT (SELECT count(*) FROM rejects), (SELECT count(*) FROM conflicts)"
        ).fetchall()[0]
    assert {row[0] for row in stored} <= expected
    assert len(stored) == len({row[0] for row in stored})
    assert len(stored) > 4 * 2 * 96 * 5
    assert (rejects, conflicts) == (0, 0)


def test_gates_and_changed_limits_are_judged_by_exactly_what_the_world_knows(
    simulated: Path, told: list[Event]
) -> None:
    with observability.connect(simulated) as con, lake.reading(con):
        card = scorecard(con, Window())
        stricter, looser = (
            backtest(con, "valve.throttle", Change("valve_range", limit), Window())
            for limit in (62.0, 30.0)
        )
        stored = {
            span
            for (span,) in con.execute(
                "SELECT decision_id FROM decisions"
                " UNION ALL SELECT trace_id || '-' || span_id FROM outcomes"
            ).fetchall()
        }
    known = [event for event in told if f"{event.trace_id}-{event.span_id}" in stored]
    truth = Truth(known)
    assert sum(truth.of_gates.values()) == sum(one.judged for one in card.gates) > 400
    assert {key: n for one in card.gates for key, n in fates(one).items() if n} == truth.of_gates
    for found, limit in ((stricter, 62.0), (looser, 30.0)):
        expected = truth.flips("valve.throttle", "valve_range", limit)
        assert Counter(flip.meaning for flip in found.flips) == expected
        assert len(found.flips) > 0
    assert {"save", "false block"} <= {flip.meaning for flip in stricter.flips}


class Truth:
    """What becomes of proposals by the world's own events, counted one by one."""

    def __init__(self, known: list[Event]) -> None:
        later = [event for event in known if isinstance(event.body, Outcome)]
        self._needed = {
            event.decision_id: event.body.value >= 0.5
            for event in sorted(later, key=lambda event: event.body.observed_unix_nano)
        }
        self._proposals = [event for event in known if isinstance(event.body, Decision)]
        self.of_gates = Counter(
            (event.body.type, gate.name, self._fate(event, gate.verdict))
            for event in self._proposals
            for gate in event.body.gates
        )

    def flips(self, decision_type: str, gate: str, limit: float) -> Counter[str]:
        """What a gate `input >= limit` that no person follows would turn with this limit."""
        found: Counter[str] = Counter()
        for event in self._proposals:
            own = [one for one in event.body.gates if one.name == gate]
            if event.body.type != decision_type or not own:
                continue
            others = all(one.verdict == "pass" for one in event.body.gates if one.name != gate)
            acted, acts = self._acted(event), others and own[0].observed >= limit
            if acted != acts:
                kinds = ("harmful act", "needed act") if acts else ("save", "false block")
                right = self._right(event)
                found["unknown" if right is None else kinds[right]] += 1
        return found

    def _fate(self, event: Event, verdict: str) -> str:
        right = self._right(event)
        if verdict == "block":
            return {True: "false block", False: "save", None: "unknown block"}[right]
        if verdict == "defer":
            return "deferred"
        if not self._acted(event):
            return "stopped elsewhere"
        return {True: "right pass", False: "harmful pass", None: "unknown pass"}[right]

    def _right(self, event: Event) -> bool | None:
        proposed, needed = event.body.recommendation, self._needed.get(event.decision_id)
        return None if needed is None else needed == (proposed.score >= proposed.threshold)

    def _acted(self, event: Event) -> bool:
        return event.body.disposition in ("executed", "modified")


def fates(one: Tally) -> dict[tuple[str, str, str], int]:
    counts = {
        "save": one.saves, "false block": one.false_blocks, "unknown block": one.unknown_blocks,
        "right pass": one.right_passes, "harmful pass": one.harmful_passes,
        "unknown pass": one.unknown_passes, "stopped elsewhere": one.stopped_elsewhere,
        "deferred": one.deferred,
    }  # fmt: skip
    return {(one.decision_type, one.gate, fate): n for fate, n in counts.items()}


def test_what_came_in_time_was_received_within_a_quarter_and_an_outage_comes_late(
    simulated: Path,
) -> None:
    truth = json.loads((simulated / "truth.json").read_text())
    outage = next(trouble for trouble in truth if trouble["kind"] == "network_outage")
    with observability.connect(simulated) as con:
        late = con.execute(
            "SELECT device_id, min(decided_at), max(decided_at), min(received_at) FROM decisions"
            " WHERE received_at - decided_at > INTERVAL 61 MINUTES GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        lag = con.sql(
            "SELECT median(epoch(received_at) - epoch(decided_at)) FROM decisions"
        ).fetchall()
    assert [row[0] for row in late] == sorted(outage["devices"])
    begins, ends = (datetime.fromisoformat(outage[edge]) for edge in ("from", "to"))
    for _, first, last, received in late:
        # What was not sent yet when the network went waits with the rest.
        assert begins - timedelta(minutes=15) <= first <= last <= ends <= received
    assert 0 < lag[0][0] < 900


def test_models_of_both_families_are_registered_and_the_store_keeps_recorded_time(
    simulated: Path,
) -> None:
    with observability.connect(simulated) as con:
        models = con.sql("SELECT name, version, artifact FROM models ORDER BY ALL").fetchall()
        clock = con.sql("SELECT value FROM meta WHERE key = 'clock'").fetchall()
    assert models == [
        ("pump-stop", "1.0.0", "lightgbm-text"),
        ("pump-stop", "1.1.0", "lightgbm-text"),
        ("valve-throttle", "1.0.0", "onnx"),
        ("valve-throttle", "1.1.0", "onnx"),
    ]
    assert clock == [("recorded",)]


def test_live_events_are_sent_when_they_are_due_and_received_now(tmp_path: Path) -> None:
    store = tmp_path / "fleet"
    now = datetime.now(UTC).replace(microsecond=0)
    world = World(7, 6, 4, start=now.replace(hour=0, minute=0, second=0))
    models = world.train(tmp_path)
    with serving(store) as url:
        since = int((now.timestamp() - 1800) * 10**9)
        fleet = SimulatedFleet(world, link_to(store, url), tmp_path / "devices")
        with contextlib.closing(fleet):
            sent = next(iter(fleet.live_on(world.live(models, since))))
        with observability.connect(store) as con:
            stored = con.execute(
                "SELECT (SELECT count(*) FROM decisions WHERE received_at >= $now)"
                " + (SELECT count(*) FROM outcomes WHERE received_at >= $now)",
                {"now": now},
            ).fetchall()
    assert sent > 0
    assert stored == [(sent,)]


def test_only_the_writers_token_may_say_when_a_span_was_received(tmp_path: Path) -> None:
    with serving(tmp_path / "fleet") as url:
        address = urlsplit(url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
        headers = {"Content-Type": "application/json", RECEIVED_AT: "2020-01-01T00:00:00Z"}
        connection.request("POST", TRACES_PATH, b"{}", headers)
        assert connection.getresponse().status == 401
        connection.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--live",), "--live without --endpoint"),
        (("--start", "soon"), "--start 'soon'"),
        (("--days", "2"), "2 days"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert main(["simulate", "--store", str(tmp_path / "fleet"), *arguments]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert said in errors[0]


def test_a_filled_store_and_a_served_one_are_refused(
    simulated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", "--store", str(simulated), *SMALL]) == 2
    assert "decisions in" in capsys.readouterr().err
    with serving(tmp_path / "fleet"):
        assert main(["simulate", "--store", str(tmp_path / "fleet"), *SMALL]) == 2
    assert "--endpoint" in capsys.readouterr().err
