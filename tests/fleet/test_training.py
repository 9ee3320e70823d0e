"""The same rows and the same spec give the same model, byte for byte."""

from __future__ import annotations

import dataclasses

import polars as pl
import pytest

from observability.fleet import recorded
from observability.fleet.training import train
from observability.models.artifact import load_model
from observability.models.reference import encode
from tests.fleet.conftest import SPECS, example
from traces.errors import SpecError


@pytest.mark.parametrize("name", SPECS)
def test_training_twice_gives_the_same_bytes(name, sample, tmp_path):
    model, rows = example(name).model, recorded.read(example(name), sample(name)).training
    model = dataclasses.replace(model, trees=10)
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir(), second.mkdir()

    one, two = train(model, rows, first), train(model, rows, second)

    assert one.version == two.version
    assert one.artifact.read_bytes() == two.artifact.read_bytes()
    assert one.reference.read_bytes() == two.reference.read_bytes()
    assert load_model(one.artifact).digest == one.version.digest


@pytest.mark.parametrize("name", SPECS)
def test_a_model_tells_the_two_actions_apart_on_rows_that_it_has_not_seen(name, sample, tmp_path):
    spec = example(name)
    both = recorded.read(spec, sample(name))
    known = both.decisions.filter(pl.col("label").is_not_null())

    trained = train(spec.model, both.training, tmp_path)

    scores = pl.Series(load_model(trained.artifact).score(encode(known, spec.model.features)))
    assert scores.filter(known["label"]).mean() > scores.filter(~known["label"]).mean() + 0.3


def test_rows_of_one_label_only_train_nothing(sample, tmp_path):
    spec = example("occupancy")
    rows = recorded.read(spec, sample("occupancy")).training.with_columns(label=pl.lit(True))

    with pytest.raises(SpecError, match="training rows of one label"):
        train(spec.model, rows, tmp_path)


def test_a_parameter_that_lightgbm_refuses_is_a_fault_of_the_spec(sample, tmp_path):
    spec = example("occupancy")
    model = dataclasses.replace(spec.model, parameters={"num_leaves": 1})

    with pytest.raises(SpecError, match="LightGBM refuses"):
        train(model, recorded.read(spec, sample("occupancy")).training, tmp_path)
