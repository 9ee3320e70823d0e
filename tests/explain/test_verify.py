"""Whether what was explained once can be explained again."""

from __future__ import annotations

import json
import shutil
from argparse import Namespace
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

import observability
from observability.collect.serving import serving
from observability.commands import explain as explain_command
from observability.explain.attributed import spec_id
from observability.explain.explain import explain
from observability.explain.verify import verify
from observability.models import registry
from observability.store import append
from observability.store.schema import arrow_table
from tests.explain.conftest import FEATURES, NAMES
from traces import ModelVersion
from traces.device import DecisionPoint, Recorder
from traces.errors import WrongUse


@pytest.fixture
def store(plant, tmp_path: Path) -> Path:
    """A store of the test's own, in which nothing is explained yet."""
    return shutil.copytree(plant.store, tmp_path / "fleet")


def keep(
    store: Path, decision_id: str, shift: float = 0.0, versus: str = "fleet", **otherwise: str
) -> None:
    """Store a decision's attributions as the worker does, the first part shifted, the spec changed."""
    with observability.connect(store) as con:
        found = explain(con, store, decision_id, versus)
    parts, stored = found.attributions, found.stored
    spec = replace(parts.spec, **otherwise)
    spec = replace(spec, spec_id=spec_id(spec))
    row = {
        "device_id": stored.device_id, "decision_id": decision_id, "spec_id": spec.spec_id,
        "phi": [parts.phi[0] + shift, *parts.phi[1:]], "base": parts.base, "output": parts.output,
        "status": "ok",
    }  # fmt: skip
    rows = {"specs": [asdict(spec)], "attributions": [row]}
    append.append(store, {name: arrow_table(name, held) for name, held in rows.items()})


def verified(store: Path, decision_id: str):
    with observability.connect(store) as con:
        return verify(con, store, decision_id)


def test_where_nothing_is_stored_the_score_and_the_sum_are_verified(store, plant) -> None:
    found = verified(store, plant.ids["executed"])
    assert found.verdict == "match"
    assert found.why.startswith("nothing stored to compare; the score replays")
    assert (found.largest_difference, found.computed_at, found.replay_error) == (None, None, 0.0)


def test_what_is_stored_is_computed_again_by_its_own_spec(store, plant) -> None:
    keep(store, plant.ids["executed"])
    other = store.parent / "other.parquet"
    rows = np.random.default_rng(1).normal(size=(300, 4))
    pl.DataFrame(dict(zip(NAMES, rows.T, strict=True))).write_parquet(other)
    registry.add(
        store, plant.model.artifact_path, name="rul", version="1", features=FEATURES,
        reference=other, threshold=0.5,
    )  # fmt: skip
    found = verified(store, plant.ids["executed"])
    assert (found.verdict, found.why) == ("match", "computed again by the same spec")
    assert found.largest_difference < 1e-6
    assert found.computed_at is not None


def test_other_numbers_have_drifted_and_the_largest_difference_is_told(store, plant) -> None:
    keep(store, plant.ids["executed"], shift=0.25)
    found = verified(store, plant.ids["executed"])
    assert (found.verdict, found.why) == ("drifted", "the same spec gives other numbers here")
    assert found.largest_difference == pytest.approx(0.25, abs=1e-6)


def test_other_libraries_are_named(store, plant) -> None:
    keep(store, plant.ids["executed"], shift=0.25, library="numba 0.1")
    found = verified(store, plant.ids["executed"])
    assert found.verdict == "drifted"
    assert found.why.startswith("computed again by library numba ")
    assert found.why.endswith("(was numba 0.1)")


@pytest.mark.parametrize("what", ["unknown model", "other digest", "no reference", "other inputs"])
def test_what_cannot_be_computed_cannot_be_reproduced(store, plant, what: str) -> None:
    found = verified(store, plant.ids[what])
    assert found.verdict == "cannot reproduce"
    assert found.residual is None


def test_versus_another_decision_is_verified_versus_the_same(store, plant) -> None:
    keep(store, plant.ids["held"], versus=plant.ids["executed"])
    assert verified(store, plant.ids["held"]).why == "computed again by the same spec"


def test_other_trees_under_the_right_name_and_digest_are_caught(store, plant, train, rows) -> None:
    wrong = train(rounds=3)
    with serving(store) as url:
        exporter = OTLPSpanExporter(f"{url}/v1/traces")
        recorder = Recorder(device_id="engine-050", service="test", exporter=exporter)
        point = DecisionPoint(
            "engine.ground", model=plant.model.version, threshold=0.5, actions=("fly", "ground"),
            predict=lambda seen: float(wrong.predict([[seen[name] for name in NAMES]])[0]),
            recorder=recorder,
        )  # fmt: skip
        made = point.decide(dict(zip(NAMES, rows[0].tolist(), strict=True))).decision_id
        recorder.shutdown()
    with observability.connect(store) as con:
        explained = explain(con, store, made)
    assert explained.alternatives is None
    assert not explained.attributions.adds_up
    assert explained.attributions.replay_error > 1e-3
    (problem,) = explained.attributions.problems
    assert problem.startswith("the model here is not what the device ran: it scores ")
    found = verified(store, made)
    assert (found.verdict, found.why) == ("cannot reproduce", problem)


def test_other_trees_under_the_right_name_alone_are_caught_by_their_digest(
    store, plant, train
) -> None:
    wrong = store.parent / "wrong.txt"
    train(rounds=3).save_model(wrong)
    added = registry.add(store, wrong, name="rul", version="9", features=FEATURES, threshold=0.5)
    assert added.version != ModelVersion("rul", "9", plant.model.version.digest)
    with observability.connect(store) as con:
        explained = explain(con, store, plant.ids["unknown model"])
    assert explained.attributions is None
    assert explained.missing[0].startswith("the model here is not what the device ran, the digest")


def test_the_command_tells_and_exits_by_the_verdict(store, plant, capsys) -> None:
    def run(what: str, **options: object) -> int:
        asked = {"store": str(store), "id": plant.ids[what], "json": False, "versus": "fleet"}
        return explain_command.run(Namespace(**{**asked, "verify": True, **options}))

    keep(store, plant.ids["held"], shift=0.25)
    assert run("executed") == 0
    assert capsys.readouterr().out.startswith("match: nothing stored to compare")
    assert run("held") == 1
    assert "largest difference  0.25, in the unit of the parts" in capsys.readouterr().out
    assert run("other digest", json=True) == 1
    assert json.loads(capsys.readouterr().out)["verdict"] == "cannot reproduce"
    with pytest.raises(WrongUse, match="found --verify with --versus"):
        run("held", versus="device")
    assert run("held", versus=plant.ids["executed"], verify=False) == 0
    assert f"Relative to decision {plant.ids['executed']}" in capsys.readouterr().out
