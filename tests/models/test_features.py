from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from observability.models.features import Feature, encode_row, read_features
from traces.errors import ModelError

INVALID = Path(__file__).parents[1] / "invalid"


def test_a_feature_list_is_read_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "features.yaml"
    path.write_text('- name: T30\n  unit: °R\n- name: mode\n  levels: [eco, "1"]\n')
    assert read_features(path) == (Feature("T30", "°R"), Feature("mode", "", ("eco", "1")))


def test_a_feature_says_what_it_can_be_and_who_can_change_it(tmp_path: Path) -> None:
    path = tmp_path / "features.yaml"
    path.write_text(
        "- {name: speed, unit: rpm, low: 0, high: 3000}\n"
        "- {name: ambient, low: -40, actionable: false}\n"
        "- {name: b1, player: spectrum}\n"
    )
    assert read_features(path) == (
        Feature("speed", "rpm", low=0.0, high=3000.0),
        Feature("ambient", low=-40.0, actionable=False),
        Feature("b1", player="spectrum"),
    )


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ("low: 2, high: 2", "found low 2.0 and high 2.0 of t; expected finite numbers"),
        ("low: .nan", "found low nan and high None of t"),
        ("low: cold", "found low 'cold' of t in "),
        ("levels: [a], high: 1", "found low or high of t, which has levels"),
        ("actionable: 1", "found actionable 1 of t in .*; expected true or false"),
        ("player: t", "found player t in .*; expected names that no feature has"),
    ],
)
def test_what_a_feature_cannot_be_is_refused(entry: str, found: str, tmp_path: Path) -> None:
    path = tmp_path / "features.yaml"
    path.write_text(f"- {{name: t, {entry}}}\n")
    with pytest.raises(ModelError, match=found):
        read_features(path)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("model_features_no_list.yaml", "with no list"),
        ("model_features_unquoted_levels.yaml", 'quote levels .*: "1", "no"'),
        ("model_features_twice.yaml", "t more than once"),
        ("model_features_unknown_key.yaml", "found units of feature t"),
        ("model_features_broken.yaml", "not readable YAML"),
        ("model_features_that_is_not_there.yaml", "found no file"),
    ],
)
def test_a_file_that_is_no_feature_list_is_refused_in_one_line(name: str, found: str) -> None:
    with pytest.raises(ModelError, match=found) as refused:
        read_features(INVALID / name)
    assert "\n" not in str(refused.value)


def test_an_unknown_level_and_a_missing_number_are_nan() -> None:
    features = [Feature("t"), Feature("mode", levels=("eco", "max"))]
    row = encode_row(features, {"t": float("nan"), "unused": 1.0}, {"mode": "turbo"})
    np.testing.assert_array_equal(row, [[np.nan, np.nan]])


def test_a_decision_without_an_input_of_its_model_is_refused() -> None:
    with pytest.raises(ModelError, match="without the input p, mode"):
        encode_row([Feature("t"), Feature("p"), Feature("mode", levels=("a",))], {"t": 1.0}, {})
