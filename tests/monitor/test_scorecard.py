"""Gates and people are counted exactly, and what came when changes nothing."""

from __future__ import annotations

import random
from pathlib import Path

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from observability import api
from observability.collect.decode import decode
from observability.monitor.scorecard import Scorecard, Tally, scorecard
from observability.store import lake
from observability.store.read import Window
from observability.store.write import Writer
from tests.gated import END, HOUR, Case, outcome, spans_of
from tests.spans import group
from traces.device import RecordedClock


def of(tallies: tuple[Tally, ...], gate: str, person: str | None = None) -> Tally:
    (found,) = (one for one in tallies if (one.gate, one.person) == (gate, person))
    return found


def test_a_gate_is_judged_by_what_is_known_of_what_it_let_through_and_stopped(con) -> None:
    dwell = of(scorecard(con, Window(), "pump.stop").gates, "dwell")
    assert (dwell.judged, dwell.passed, dwell.blocked) == (58, 43, 15)
    assert (dwell.saves, dwell.false_blocks, dwell.unknown_blocks) == (5, 3, 7)
    assert (dwell.right_passes, dwell.harmful_passes, dwell.unknown_passes) == (26, 5, 6)
    assert dwell.stopped_elsewhere == 6
    assert dwell.false_block_bounds == (3 / 15, 10 / 15)
    assert dwell.harm_bounds == (5 / 37, 11 / 37)
    assert dwell.override_rate == 0


def test_a_person_is_judged_by_the_same_measure_and_in_the_gates_place(con) -> None:
    card = scorecard(con, Window(), "pump.stop")
    first, second, reviewer = (of(card.people, "approval", f"op-{n}") for n in (1, 2, 9))
    assert (first.passed, first.blocked, first.false_blocks) == (5, 2, 2)
    assert (first.right_passes, first.harmful_passes) == (4, 1)
    assert (first.override_rate, first.answered, first.answer_s) == (2 / 7, 7, 40.0)
    assert (second.deferred, second.answered) == (1, 0)
    assert (reviewer.passed, reviewer.right_passes, reviewer.saves) == (2, 2, 1)
    assert reviewer.answer_s == 300.0
    assert of(card.gates, "approval").judged == 11


def test_the_funnel_counts_those_that_went_on(con) -> None:
    (funnel,) = scorecard(con, Window(), "pump.stop").funnels
    assert (funnel.recommended, funnel.passed_rules) == (58, 41)
    assert (funnel.actuated, funnel.labelled) == (37, 31)


def test_a_script_reads_the_same_truth_from_a_view(con) -> None:
    counts = con.sql(
        """
        SELECT count(*), count(*) FILTER (actuated), count(*) FILTER (actuated AND needed IS NOT NULL),
            count(*) FILTER (actuated AND "right"), count(*) FILTER (actuated AND NOT "right")
        FROM proposals
        WHERE decision_type = 'pump.stop'
            AND decision_id IN (SELECT decision_id FROM gates WHERE name = 'dwell')
        """
    ).fetchall()
    (funnel,) = scorecard(con, Window(), "pump.stop").funnels
    dwell = of(scorecard(con, Window(), "pump.stop").gates, "dwell")
    right = dwell.right_passes, dwell.harmful_passes
    assert counts == [(funnel.recommended, funnel.actuated, funnel.labelled, *right)]


def test_a_notebook_gets_the_same_scorecard(con, labelled: Path) -> None:
    assert api.scorecard(labelled).gates == scorecard(con, Window()).gates


def test_when_and_in_which_order_outcomes_arrive_changes_nothing(tmp_path: Path) -> None:
    commits: list[list[Span]] = [[], [], []]
    for seed in range(6):
        order = random.Random(seed)  # noqa: S311
        cases = [Case(None, 3, type=str(seed)), Case(None, 3, dwell=10, type=str(seed))]
        abouts = [about for about, _ in spans_of(cases)]
        later = [
            outcome(about, needed, hours * HOUR)
            for about in abouts
            for needed, hours in ((False, 1), (True, 3), (False, 2))
        ]
        order.shuffle(later)
        places = order.sample(commits, 3)
        for place, part in zip(places, (abouts, later[:9], later[9:]), strict=True):
            place.extend(part)
    with Writer(tmp_path / "fleet", clock := RecordedClock(END)) as writer:
        for part in commits:
            clock.set(clock.wall_ns() + HOUR)
            writer.write(decode([group(part)], origin="otlp", identity="unverified").batch())
    with lake.connect(tmp_path / "fleet") as con:
        gates = scorecard(con, Window()).gates
    found = {
        (one.right_passes, one.harmful_passes, one.false_blocks, one.saves)
        for one in gates
        if one.gate == "dwell"
    }
    assert (len(gates), found) == (12, {(3, 0, 3, 0)})


def test_one_decision_is_no_crash_and_no_number(con) -> None:
    (dwell, _) = scorecard(con, Window(), "one").gates
    assert (dwell.unknown_passes, dwell.harm_bounds) == (1, (0.0, 1.0))
    assert scorecard(con, Window(), "absent") == Scorecard((), (), ())
