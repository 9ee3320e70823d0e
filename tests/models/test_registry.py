from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from observability.models.artifact import digest_of
from observability.models.features import Feature
from observability.models.registry import add, find, registered, why_absent
from observability.store import lake
from observability.store.write import Writer
from traces.errors import ModelError, StoreError


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("empty") / "fleet"
    Writer(store).close()
    return store


@pytest.fixture
def store(empty_store: Path, tmp_path: Path) -> Path:
    return shutil.copytree(empty_store, tmp_path / "fleet")


def rows_of(store: Path, table: str) -> int:
    with lake.connect(store) as con:
        return con.sql(f"SELECT count(*) FROM {table}").fetchall()[0][0]  # noqa: S608


def test_what_was_added_is_found_with_all_that_explains_it(store, artifact, reference_file) -> None:
    features = [
        *(Feature(f"s{number}", "K") for number in range(2)),
        Feature("s2", low=0.0, high=5.5, actionable=False),
        Feature("s3", player="spectrum"),
    ]
    added = add(
        store,
        artifact,
        name="pump",
        version="3",
        features=features,
        reference=reference_file,
        threshold=0.5,
    )
    with lake.connect(store) as con:
        found = find(con, store, added.version)
    assert found == added
    assert found.features == tuple(features)
    assert (found.link, found.threshold) == ("logit", 0.5)
    assert found.version.digest == digest_of(artifact.read_bytes())
    assert found.artifact_path.read_bytes() == artifact.read_bytes()
    assert found.artifact_path.parent.name == found.version.digest.removeprefix("sha256:")
    assert found.reference is not None
    assert found.reference_path is not None
    assert found.reference_path.read_bytes() == reference_file.read_bytes()
    assert (found.reference.row_count, found.reference.device_count) == (1500, 3)


def test_features_and_reference_may_be_left_out(store, artifact) -> None:
    added = add(store, artifact, name="pump", version="3")
    assert [feature.name for feature in added.features] == ["s0", "s1", "s2", "s3"]
    assert added.reference is None
    assert added.threshold is None


def test_adding_the_same_again_adds_nothing(store, artifact, reference_file) -> None:
    first = add(store, artifact, name="pump", version="3", reference=reference_file, threshold=0.5)
    with lake.connect(store) as con:
        snapshot = lake.snapshot_id(con)
    assert (
        add(store, artifact, name="pump", version="3", reference=reference_file, threshold=0.5)
        == first
    )
    assert rows_of(store, "models") == rows_of(store, "model_references") == 1
    with lake.connect(store) as con:
        assert lake.snapshot_id(con) == snapshot


def test_a_reference_can_follow_later(store, artifact, reference_file) -> None:
    add(store, artifact, name="pump", version="3")
    added = add(store, artifact, name="pump", version="3", reference=reference_file)
    assert added.reference is not None
    assert rows_of(store, "models") == 1


def test_a_registered_version_never_changes(store, artifact) -> None:
    add(store, artifact, name="pump", version="3", threshold=0.5)
    with pytest.raises(ModelError, match="another threshold for pump 3"):
        add(store, artifact, name="pump", version="3", threshold=0.6)
    with pytest.raises(ModelError, match="another features for pump 3"):
        add(
            store,
            artifact,
            name="pump",
            version="3",
            threshold=0.5,
            features=[Feature(f"s{n}", "K") for n in range(4)],
        )


def test_an_unknown_version_and_another_digest_are_told_apart(store, artifact) -> None:
    added = add(store, artifact, name="pump", version="3")
    other = replace(added.version, digest="sha256:" + "0" * 64)
    unknown = replace(added.version, version="4")
    with lake.connect(store) as con:
        assert find(con, store, other) is None
        assert find(con, store, unknown) is None
        assert "the digest differs: the device ran pump 3 sha256:000000000000" in why_absent(
            con, store, other
        )
        assert "no model pump 4 is registered here" in why_absent(con, store, unknown)


def test_versions_are_listed_by_name(store, artifact, train, rows, labels, tmp_path) -> None:
    add(store, artifact, name="valve", version="1")
    add(store, artifact, name="pump", version="1")
    second = tmp_path / "second.txt"
    train(rows, labels, rounds=3).save_model(second)
    add(store, second, name="pump", version="2")
    with lake.connect(store) as con:
        names = [(model.version.name, model.version.version) for model in registered(con, store)]
        assert names == [("pump", "1"), ("pump", "2"), ("valve", "1")]
        assert len(registered(con, store, name="pump", version="2")) == 1


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        ({"features": [Feature("s0")]}, "1 features for .*; expected 4: s0, s1, s2, s3"),
        ({"features": [Feature(n) for n in ("s1", "s0", "s2", "s3")]}, "in its order"),
        ({"features": [Feature("s0")] * 4}, "s0 more than once"),
        ({"threshold": 30.0}, "a threshold between 0 and 1"),
        ({"name": " "}, "texts that are not empty"),
        ({"reference": Path("nowhere.parquet")}, "no file nowhere.parquet"),
    ],
)
def test_a_wrong_argument_registers_nothing(store, artifact, wrong: dict, found: str) -> None:
    with pytest.raises(ModelError, match=found):
        add(store, artifact, **{"name": "pump", "version": "3", **wrong})
    assert rows_of(store, "models") == 0
    assert not list((store / "models").iterdir())


def test_a_pickle_registers_nothing(store) -> None:
    with pytest.raises(ModelError, match="a pickle"):
        add(
            store,
            Path(__file__).parents[1] / "invalid" / "model_pickle.pkl",
            name="pump",
            version="3",
        )
    assert rows_of(store, "models") == 0


def test_a_folder_that_is_no_store_is_refused(tmp_path, artifact) -> None:
    with pytest.raises(StoreError, match="which is no store"):
        add(tmp_path, artifact, name="pump", version="3")
