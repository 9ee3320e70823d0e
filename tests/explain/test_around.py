"""What lies around a decision when it was made: its like, its device's habits, its fleet."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

import observability
from observability.collect.serving import serving
from observability.explain.explain import explain
from observability.explain.past import NearestPast
from observability.models.artifact import load_model
from observability.models.registry import RegisteredModel
from observability.store.read_past import NEWEST_DECISIONS
from tests.explain.conftest import NAMES
from traces import ModelVersion, Outcome
from traces.device import DecisionPoint, Recorder
from traces.errors import WrongUse

BUSY, QUIET, EACH = "engine-001", "engine-002", 120


@dataclass(frozen=True)
class History:
    """A busy device's decisions in order, and the few of a quiet one."""

    store: Path
    model: RegisteredModel
    busy: tuple[str, ...]
    quiet: tuple[str, ...]
    rows: np.ndarray


def decide(
    url: str, device: str, model: RegisteredModel, rows: np.ndarray, labels: Mapping[int, str]
) -> tuple[str, ...]:
    """Decisions of a device on rows `(n, 4)`; `labels` by row."""
    loaded = load_model(model.artifact_path)
    recorder = Recorder(
        device_id=device, service="test", exporter=OTLPSpanExporter(f"{url}/v1/traces")
    )
    point = DecisionPoint(
        "engine.ground", model=model.version, threshold=0.5, actions=("fly", "ground"),
        predict=lambda seen: float(loaded.score(np.array([[seen[name] for name in NAMES]]))[0]),
        recorder=recorder,
    )  # fmt: skip
    ids = []
    for at, row in enumerate(rows.tolist()):
        ids.append(point.decide(dict(zip(NAMES, row, strict=True))).decision_id)
        if at in labels:
            trace_id, span_id = ids[-1].split("-")
            recorder.record_outcome(Outcome(trace_id, span_id, labels[at], "sensor", 10**18, 1.0))
    recorder.shutdown()
    return tuple(ids)


@pytest.fixture(scope="module")
def history(plant, tmp_path_factory: pytest.TempPathFactory) -> History:
    store = shutil.copytree(plant.store, tmp_path_factory.mktemp("history") / "fleet")
    rows = np.random.default_rng(3).normal(size=(EACH, 4)) + 10
    rows[-1] = rows[7]
    with serving(store) as url:
        quiet = decide(url, QUIET, plant.model, rows[:5], {})
        busy = decide(url, BUSY, plant.model, rows, {7: "failed", 9: "flew on"})
    return History(store, plant.model, busy, quiet, rows)


@pytest.fixture
def con(history: History) -> Iterator[duckdb.DuckDBPyConnection]:
    with observability.connect(history.store) as opened:
        yield opened


def test_the_nearest_past_decisions_come_with_what_was_done_and_what_came_of_it(
    con, history
) -> None:
    explained = explain(con, history.store, history.busy[-1])
    found = explained.nearest
    apart = (history.rows[:-1] - history.rows[-1]) / [explained.usual[name].iqr for name in NAMES]
    ranked = np.argsort(np.linalg.norm(apart, axis=1))
    own = [each for each in found.decisions if each.device_id == BUSY]
    assert [each.decision_id for each in own] == [history.busy[at] for at in ranked[: len(own)]]
    first = found.decisions[0]
    assert (first.decision_id, first.distance, first.label) == (history.busy[7], 0.0, "failed")
    assert (first.action, first.disposition) == (explained.stored.decision.action, "executed")
    assert [each.label for each in found.decisions[1:]].count("failed") == 0
    assert [each.distance for each in found.decisions] == sorted(
        each.distance for each in found.decisions
    )
    assert len(found.decisions) == 5


def test_only_earlier_decisions_of_the_same_type_and_version_are_compared(con, history) -> None:
    for place in (0, 40):
        explained = explain(con, history.store, history.busy[place])
        (earlier,) = con.execute(
            "SELECT count(*) FROM decisions WHERE model_name = 'rul' AND model_version = '1'"
            " AND len(inputs) = 4 AND decided_at < ? AND received_at <= ?",
            [explained.stored.decided_at, explained.stored.received_at],
        ).fetchone()
        assert explained.nearest.among == earlier
        assert explained.nearest.last_at < explained.stored.decided_at
        assert history.busy[place] not in [each.decision_id for each in explained.nearest.decisions]


def test_what_arrived_since_is_looked_at_without_reading_all_again(history) -> None:
    with serving(history.store) as url, observability.connect(history.store) as con:
        before = explain(con, history.store, history.busy[-1]).nearest
        later = decide(url, BUSY, history.model, np.stack([history.rows[7] + 50] * 2), {0: "odd"})
        nearest = explain(con, history.store, later[1]).nearest
    assert nearest.newest == before.newest + 2
    assert (nearest.decisions[0].decision_id, nearest.decisions[0].label) == (later[0], "odd")


def test_a_decision_before_all_that_is_looked_at_says_so() -> None:
    assert NearestPast(
        (), 0, None, None, NEWEST_DECISIONS, datetime(2026, 1, 1, tzinfo=UTC)
    ).is_older
    assert not NearestPast((), 0, None, None, 7, datetime(2026, 1, 1, tzinfo=UTC)).is_older


def test_a_decision_is_compared_with_its_own_device(con, history) -> None:
    explained = explain(con, history.store, history.busy[-1], "device")
    found = explained.attributions
    assert found.adds_up
    assert found.spec.versus == f"device {BUSY}"
    assert found.spec.background_rows == EACH - 1
    margins = load_model(history.model.artifact_path).margin(history.rows[:-1])
    assert found.base == pytest.approx(margins.mean())
    fleet = explain(con, history.store, history.busy[-1]).attributions
    assert fleet.spec.versus == "fleet"
    assert fleet.spec.spec_id != found.spec.spec_id
    assert fleet.output == found.output


def test_a_device_of_few_decisions_is_no_comparison(con, history) -> None:
    explained = explain(con, history.store, history.quiet[-1], "device")
    assert explained.attributions is None
    assert "found 4 earlier decisions of engine-002 with these inputs" in explained.missing[0]


def test_versus_a_past_decision_the_parts_are_the_exact_difference(con, history) -> None:
    here, there = history.busy[30], history.busy[9]
    found = explain(con, history.store, here, there).attributions
    assert found.spec.versus == f"decision {there}"
    assert found.spec.background_rows == 1
    other = explain(con, history.store, there).attributions
    assert found.base == pytest.approx(other.output)
    assert sum(found.phi) == pytest.approx(found.output - other.output)


@pytest.mark.parametrize("versus", ["0" * 32 + "-" + "0" * 16, "itself", "yesterday"])
def test_what_cannot_be_compared_with_is_refused(con, history, versus: str) -> None:
    asked = history.busy[3] if versus == "itself" else versus
    with pytest.raises(WrongUse, match=r"expected (fleet, device or the id|another decision of)"):
        explain(con, history.store, history.busy[3], asked)


def test_how_far_the_inputs_had_moved_is_told_beside_the_reference(con, history) -> None:
    drift = explain(con, history.store, history.busy[-1]).drift
    assert set(drift.psi) == set(NAMES)
    assert all(0 <= value < 0.5 for value in drift.psi.values())
    assert (drift.decisions, drift.own, drift.baseline_rows) == (EACH, False, 1500)
    few = explain(con, history.store, history.quiet[-1]).drift
    assert few.decisions == 5
    assert all(np.isnan(value) for value in few.psi.values())


def test_which_versions_ran_then_and_where_it_stands_in_its_chain(con, history) -> None:
    explained = explain(con, history.store, history.busy[-1])
    shares = {each.version: each.devices for each in explained.rollout.versions}
    assert shares == {"1": 3}
    assert (explained.rollout.on_version, explained.rollout.devices) == (3, 3)
    assert explained.chain is None


def test_a_version_that_is_not_registered_still_has_its_like(con, history, plant) -> None:
    explained = explain(con, history.store, plant.ids["unknown model"])
    assert (explained.attributions, explained.drift) == (None, None)
    assert explained.nearest.newest == 1
    assert (explained.rollout.version, explained.rollout.on_version) == ("9", 1)
    assert ModelVersion(explained.rollout.model, "9", "").name == "rul"
