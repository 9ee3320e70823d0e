from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from datetime import UTC, datetime

import numpy as np
import pytest
import shap

from observability.explain.attributed import (
    LIKELIEST,
    Recorded,
    attribute_decision,
    build_engine,
    engine,
    spec_id,
)
from observability.explain.attribution import PERMUTATIONS, TABLES
from observability.fleet.world.int8 import quantise
from observability.fleet.world.mlp import train_mlp
from observability.models.artifact import digest_of, model_of
from observability.models.features import Feature
from observability.models.reference import Reference
from traces.errors import ModelError

REFERENCE = Reference(
    "sha256:" + "a" * 64,
    1500,
    3,
    datetime(2024, 1, 1, tzinfo=UTC),
    datetime(2024, 2, 1, tzinfo=UTC),
)
NAMES = ("T30", "s4", "s11", "s2")


def engine_of(booster, background, features=tuple(map(Feature, NAMES))):  # noqa: B008
    model = model_of(booster.model_to_string().encode(), "model")
    return build_engine(model, features, background, REFERENCE)


def recorded(row, score=None, threshold=0.5):
    return Recorded(dict(zip(NAMES, row.tolist(), strict=True)), {}, score, threshold)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"sigmoid": 2.5},
        {"boosting": "dart"},
        {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
        {"objective": "regression"},
    ],
)
def test_the_parts_sum_to_the_margin(train, rows, parameters: dict) -> None:
    prepared = engine_of(train(**parameters), rows[:1000])
    for row in rows[:20]:
        explained = attribute_decision(prepared, recorded(row))
        assert explained.adds_up
        assert math.isclose(explained.base + sum(explained.phi), explained.output, abs_tol=1e-6)
        shown = (
            1 / (1 + math.exp(-explained.output))
            if explained.spec.link == "logit"
            else explained.output
        )
        assert math.isclose(shown, explained.replayed_score, abs_tol=1e-9)


def test_a_model_that_learnt_nothing_attributes_nothing(train, rows) -> None:
    explained = attribute_decision(
        engine_of(train(min_data_in_leaf=1500), rows[:100]), recorded(rows[0])
    )
    assert explained.adds_up
    assert set(explained.phi) == {0.0}


def test_they_are_what_shap_gives_when_called_directly(train, rows) -> None:
    booster = train()
    masker = shap.maskers.Independent(rows[:1000], max_samples=1000)
    direct = shap.TreeExplainer(booster, masker, feature_perturbation="interventional")
    expected = direct.shap_values(rows[:5], check_additivity=False)
    prepared = engine_of(booster, rows[:1000])
    found = [attribute_decision(prepared, recorded(row)) for row in rows[:5]]
    np.testing.assert_allclose([explained.phi for explained in found], expected, atol=1e-6)
    assert math.isclose(
        found[0].base, booster.predict(rows[:1000], raw_score=True).mean(), abs_tol=1e-9
    )


def test_all_background_rows_count_not_the_hundred_that_shap_keeps(train, rows) -> None:
    booster = train()
    explained = attribute_decision(engine_of(booster, rows[:1000]), recorded(rows[0]))
    assert explained.spec.background_rows == 1000
    careless = shap.TreeExplainer(booster, rows[:1000], feature_perturbation="interventional")
    assert careless.data is not None
    assert len(careless.data) == 100
    assert abs(float(np.ravel(careless.expected_value)[0]) - explained.base) > 1e-3


def test_a_missing_value_in_a_model_trained_without_any_still_adds_up(train, rows) -> None:
    centred = rows - 10
    booster = train(centred)
    row = centred[0].copy()
    row[0] = np.nan
    naive = shap.TreeExplainer(
        booster,
        shap.maskers.Independent(centred[:1000], max_samples=1000),
        feature_perturbation="interventional",
    )
    parts = naive.shap_values(row[None, :], check_additivity=False).sum() + naive.expected_value
    assert abs(parts - booster.predict(row[None, :], raw_score=True)[0]) > 0.1
    explained = attribute_decision(engine_of(booster, centred[:1000]), recorded(row))
    assert explained.adds_up
    assert math.isnan(explained.values[0])


@pytest.mark.parametrize("parameters", [{}, {"zero_as_missing": True}])
def test_missing_values_that_the_model_learnt_from_add_up(train, rows, parameters: dict) -> None:
    holes = rows.copy()
    holes[::5, 0] = np.nan
    holes[1::5, 1] = 0.0
    prepared = engine_of(train(holes, **parameters), holes[:1000])
    for row in holes[:10]:
        assert attribute_decision(prepared, recorded(row)).adds_up


def test_categorical_splits_are_attributed_as_exactly_as_any(train, rows) -> None:
    levels = ("a", "b", "c", "d")
    coded = rows.copy()
    coded[:, 3] = np.arange(len(rows)) % 4
    coded[:, 0] = np.where(coded[:, 3] == 2, 30.0, coded[:, 0])
    booster = train(np.column_stack([np.round(coded[:, 0]) % 3, coded[:, 1:]]), categorical=[3, 0])
    features = (Feature("T30"), Feature("s4"), Feature("s11"), Feature("s2", levels=levels))
    prepared = engine_of(booster, coded[:1000], features)
    given = Recorded({"T30": 1.0, "s4": 10.0, "s11": 9.0}, {"s2": "c"}, None, 0.5)
    explained = attribute_decision(prepared, given)
    assert explained.spec.algorithm == TABLES
    assert explained.spec.background_rows == 1000
    assert explained.values == (1.0, 10.0, 9.0, "c")
    assert explained.adds_up


def test_of_several_classes_the_likeliest_is_explained(train, rows) -> None:
    labels = np.digitize(rows[:, 0] + rows[:, 1], [19.0, 21.0])
    booster = train(labels=labels, objective="multiclass", num_class=3)
    prepared = engine_of(booster, rows[:1000])
    for row in rows[:20]:
        scores = booster.predict(row[None])[0]
        explained = attribute_decision(prepared, recorded(row, score=float(scores.max())))
        assert explained.adds_up
        assert explained.replayed_score == scores.max()
        assert explained.output == booster.predict(row[None], raw_score=True)[0].max()
        assert (explained.spec.output, explained.spec.link) == (LIKELIEST, "softmax")
        assert explained.threshold is None


def test_an_int8_network_is_explained_with_how_sure_its_parts_are() -> None:
    chance = np.random.default_rng(3)
    inputs = chance.normal(size=(600, 12))
    network = train_mlp(inputs, (inputs[:, 0] * inputs[:, 1] > 0).astype(float), (8, 8), 1)
    features = tuple(Feature(f"s{number}") for number in range(12))
    model = model_of(quantise(network, inputs, features, "1"), "network")
    prepared = build_engine(model, features, inputs[:100], REFERENCE)
    given = dict(zip(model.feature_names, inputs[200].tolist(), strict=True))
    score = float(model.score(inputs[200:201])[0])
    explained = attribute_decision(prepared, Recorded(given, {}, score, 0.5))
    assert explained.adds_up
    assert explained.replay_error == 0.0
    assert explained.spec.algorithm == f"{PERMUTATIONS} 200 pairs with seed 0"
    assert explained.spec.link == "logit"
    assert explained.spec.library.split(", ")[-1].startswith("onnxruntime")
    assert min(explained.standard_error) > 0.0


def test_another_artifact_than_the_devices_is_caught(train, rows) -> None:
    on_the_device, here = train(rounds=20), train(rounds=19)
    score = float(on_the_device.predict(rows[:1])[0])
    assert attribute_decision(
        engine_of(on_the_device, rows[:1000]), recorded(rows[0], score)
    ).adds_up
    explained = attribute_decision(engine_of(here, rows[:1000]), recorded(rows[0], score))
    assert not explained.adds_up
    assert explained.replay_error > 1e-6
    assert explained.problems[0].startswith("the model here is not what the device ran")


def test_attributions_that_do_not_add_up_say_so(train, rows) -> None:
    prepared = engine_of(train(), rows[:1000])
    nothing = np.zeros((1, 4, 1))
    broken = replace(
        prepared, explainer=replace(prepared.explainer, values=lambda _: (nothing, nothing))
    )
    explained = attribute_decision(broken, recorded(rows[0]))
    assert not explained.adds_up
    assert "the parts do not add up" in explained.problems[0]


def test_the_threshold_is_drawn_where_the_margin_is(train, rows) -> None:
    prepared = engine_of(train(), rows[:100])
    assert attribute_decision(prepared, recorded(rows[0], threshold=0.5)).threshold == 0.0
    assert attribute_decision(prepared, recorded(rows[0], threshold=1.0)).threshold is None
    assert attribute_decision(prepared, recorded(rows[0], threshold=None)).threshold is None


def test_a_spec_names_every_choice_and_its_id_follows_them(train, rows) -> None:
    prepared = engine_of(train(), rows[:1000])
    spec = prepared.spec
    assert (spec.algorithm, spec.link, spec.features) == (TABLES, "logit", NAMES)
    assert spec.spec_id.startswith("sha256:")
    assert engine_of(train(), rows[:1000]).spec == spec
    assert engine_of(train(), rows[:999]).spec.spec_id != spec.spec_id
    assert engine_of(train(rounds=3), rows[:1000]).spec.spec_id != spec.spec_id


def test_a_spec_id_is_of_its_fields_and_of_those_at_their_default_says_nothing(train, rows) -> None:
    spec = engine_of(train(), rows[:1000]).spec
    assert spec.spec_id == spec_id(replace(spec, spec_id="other"))
    content = json.dumps(
        {name: value for name, value in asdict(spec).items()
         if name not in ("spec_id", "players", "versus")},
        sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=datetime.isoformat,
    )  # fmt: skip
    assert spec.spec_id == digest_of(content.encode())
    assert spec_id(replace(spec, versus="device a")) != spec.spec_id


def test_features_of_one_player_share_a_part(train, rows) -> None:
    features = (
        Feature("T30"),
        Feature("s4", player="core"),
        Feature("s11", player="core"),
        Feature("s2"),
    )
    prepared = engine_of(train(), rows[:100], features)
    explained = attribute_decision(prepared, recorded(rows[0]))
    assert prepared.spec.features == ("T30", "core", "s2")
    assert prepared.spec.players == (("T30",), ("s4", "s11"), ("s2",))
    assert prepared.spec.spec_id != engine_of(train(), rows[:100]).spec.spec_id
    assert explained.adds_up
    assert len(explained.phi) == 3
    assert explained.values[1] == "2 inputs"


def test_an_engine_is_built_once_for_a_model_and_its_reference(plant) -> None:
    asked = (plant.model.artifact_path, plant.model.version.digest, plant.model.features)
    held = (plant.model.reference_path, plant.model.reference)
    assert engine(*asked, *held) is engine(*asked, *held)


def test_a_stored_artifact_that_was_changed_is_refused(plant, tmp_path) -> None:
    changed = tmp_path / "model.txt"
    changed.write_bytes(plant.model.artifact_path.read_bytes() + b"\n")
    with pytest.raises(ModelError, match="with other content"):
        engine(
            changed, plant.model.version.digest, plant.model.features,
            plant.model.reference_path, plant.model.reference,
        )  # fmt: skip
