"""A recorded data set lives through the real recorder, exporter, receiver and store."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from observability.collect.serving import serving
from observability.fleet import recorded
from observability.fleet.replay import replay
from observability.models import registry
from observability.models.artifact import load_model
from observability.store.stored import stored_decision
from tests.fleet.conftest import ROOT, example
from traces.errors import SpecError, StoreError, WrongUse
from traces.gates import rejudge


def test_every_recorded_row_becomes_one_decision_and_every_settled_label_one_outcome(fleet):
    decisions = recorded.read(fleet.spec, fleet.data).decisions
    positive, negative = fleet.spec.label.positive, fleet.spec.label.negative

    assert fleet.done.decisions == len(decisions)
    assert fleet.rows("SELECT count(*), count(DISTINCT device_id) FROM decisions") == [
        (len(decisions), decisions["device_id"].n_unique())
    ]
    assert dict(fleet.rows("SELECT label, count(*) FROM outcomes GROUP BY label")) == {
        positive: decisions["label"].sum(),
        negative: (~decisions["label"]).sum(),
    }
    assert fleet.done.outcomes == decisions["label"].count()
    assert fleet.rows("SELECT count(*) FROM rejects UNION ALL SELECT count(*) FROM conflicts") == [
        (0,),
        (0,),
    ]


def test_the_truth_of_a_decision_is_that_of_its_own_row(fleet):
    expected = (
        recorded.read(fleet.spec, fleet.data)
        .decisions.filter(pl.col("label").is_not_null())
        .select("device_id", "decided_at", pl.col("label").cast(pl.Float64), "label_known_at")
    )
    with fleet.connect() as con:
        found = con.execute(
            "SELECT device_id, decided_at, value AS label, observed_at AS label_known_at"
            " FROM decisions JOIN outcomes USING (device_id, decision_id)"
        ).pl()

    keys = ["device_id", "decided_at"]
    assert found.sort(keys).equals(expected.sort(keys))


def test_nothing_is_received_before_it_could_be_known(fleet):
    assert fleet.rows("SELECT count(*) FROM decisions WHERE received_at < decided_at") == [(0,)]
    assert fleet.rows("SELECT count(*) FROM outcomes WHERE received_at < observed_at") == [(0,)]
    assert fleet.rows("SELECT value FROM meta WHERE key = 'clock'") == [("recorded",)]
    assert fleet.rows("SELECT count(*) FROM models WHERE year(received_at) < 2010") == [(0,)]


def test_the_device_scored_exactly_as_the_registered_model_does(fleet):
    with fleet.connect() as con:
        (model,) = registry.registered(con, fleet.store)
        rows = con.execute(
            "SELECT inputs, categoricals, score, threshold, recommendation"
            " FROM decisions ORDER BY decision_id LIMIT 300"
        ).fetchall()

    assert model.version == fleet.done.model
    assert model.features == fleet.spec.model.features
    levels = [feature.levels for feature in model.features if feature.levels]
    encoded = [
        [
            *inputs,
            *(
                float(known.index(v)) if v in known else np.nan
                for v, known in zip(texts, levels, strict=True)
            ),
        ]
        for inputs, texts, *_ in rows
    ]
    assert load_model(model.artifact_path).score(np.array(encoded)).tolist() == [
        row[2] for row in rows
    ]
    for _, _, score, threshold, recommendation in rows:
        proposes = score >= threshold
        assert recommendation == (
            fleet.spec.actions.act if proposes else fleet.spec.actions.fallback
        )


def test_the_reference_is_all_training_rows(fleet):
    training = recorded.read(fleet.spec, fleet.data).training
    with fleet.connect() as con:
        (model,) = registry.registered(con, fleet.store)

    assert model.reference is not None
    assert model.reference.row_count == len(training)
    assert model.reference.device_count == training["device_id"].n_unique()
    assert model.reference.first_at == training["decided_at"].min()


def test_gates_bite_and_a_blocked_device_does_the_fallback(fleet):
    biting = {name for name, count in fleet.done.blocked_by.items() if count}

    assert len(biting) >= 2
    assert fleet.rows("SELECT DISTINCT action FROM decisions WHERE disposition = 'blocked'") == [
        (fleet.spec.actions.fallback,)
    ]
    assert dict(
        fleet.rows("SELECT name, count(*) FROM gates WHERE verdict = 'block' GROUP BY name")
    ) == {name: fleet.done.blocked_by[name] for name in biting}


def test_each_recorded_verdict_can_be_given_again_from_its_own_record(fleet):
    ids = fleet.rows(
        "SELECT decision_id FROM decisions WHERE disposition = 'blocked' ORDER BY decision_id LIMIT 20"
    )
    with fleet.connect() as con:
        for (decision_id,) in ids:
            stored = stored_decision(con, decision_id)
            assert stored is not None
            for verdict in stored.decision.gates:
                assert rejudge(verdict) == verdict.verdict


def test_what_a_device_remembers_is_what_it_did_before(fleet):
    assert fleet.rows(
        """
        SELECT count(*) FROM (
            SELECT context['previous_action'] AS said,
                lag(action, 1, ?) OVER (PARTITION BY device_id ORDER BY decided_at) AS did
            FROM decisions)
        WHERE said <> did
        """.replace("?", f"'{fleet.spec.actions.fallback}'")
    ) == [(0,)]


def test_the_same_spec_is_not_replayed_twice_into_a_store(fleet):
    before = fleet.rows("SELECT count(*) FROM decisions")

    with pytest.raises(WrongUse, match="a store without them"):
        replay(fleet.spec, fleet.data, store=fleet.store, progress=False)

    assert fleet.rows("SELECT count(*) FROM decisions") == before


def test_two_specs_share_a_store_of_recorded_time(sample, tmp_path):
    store = tmp_path / "fleet"
    replay(example("occupancy"), sample("occupancy"), store=store, limit=60, progress=False)
    replay(example("beijing"), sample("beijing"), store=store, limit=60, progress=False)

    with contextlib.closing(registry.lake.connect(store)) as con:
        assert con.execute(
            "SELECT DISTINCT decision_type FROM decisions ORDER BY 1"
        ).fetchall() == [
            ("hvac.actuate",),
            ("ventilation.run",),
        ]


def test_a_store_that_is_being_served_takes_a_replay_over_its_endpoint_only(sample, tmp_path):
    spec, data, store = example("occupancy"), sample("occupancy"), tmp_path / "fleet"
    with serving(store) as url:
        with pytest.raises(WrongUse, match="a store of real time"):
            replay(spec, data, store=store, limit=40, progress=False)

        done = replay(spec, data, store=store, endpoint=url, limit=40, progress=False)

        with contextlib.closing(registry.lake.connect(store)) as con:
            found = con.execute(
                "SELECT count(*), min(received_at) > now() - INTERVAL 1 HOUR FROM decisions"
            )
            assert found.fetchall() == [(40, True)]
            assert registry.find(con, store, done.model) is not None
    assert done.outcomes == 40
    assert done.model_registered


def test_a_recorded_store_in_use_says_to_use_the_endpoint(sample, tmp_path):
    store = tmp_path / "fleet"
    replay(example("beijing"), sample("beijing"), store=store, limit=10, progress=False)

    with serving(store), pytest.raises(StoreError, match="--endpoint"):
        replay(example("occupancy"), sample("occupancy"), store=store, limit=10, progress=False)


def test_nobody_at_the_endpoint_is_said_before_the_training(sample):
    with pytest.raises(WrongUse, match="whence serve"):
        replay(example("cmapss"), sample("cmapss"), endpoint="http://127.0.0.1:1", progress=False)


def test_missing_data_leaves_no_store_behind(tmp_path):
    with pytest.raises(SpecError, match=r"no file train_FD001\.txt"):
        replay(example("cmapss"), tmp_path, store=tmp_path / "fleet", progress=False)

    assert not (tmp_path / "fleet").exists()


def test_the_command_ends_with_a_progress_bar_and_a_summary(sample, tmp_path):
    store = tmp_path / "fleet"
    command = [
        sys.executable, "-m", "observability.cli", "replay", str(ROOT / "examples/occupancy.yaml"),
        "--data", str(sample("occupancy")), "--store", str(store), "--limit", "600",
    ]  # fmt: skip
    ended = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=os.environ, check=False
    )

    assert ended.returncode == 0, ended.stderr
    assert "1200/1200" in ended.stderr
    assert "600 of hvac.actuate" in ended.stdout
    assert f"whence serve --store {store}" in ended.stdout
