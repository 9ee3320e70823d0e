import numpy as np
import onnx
import polars as pl

from observability.fleet.world.physics import machines
from observability.fleet.world.readings import names
from observability.fleet.world.sites import fleet
from observability.fleet.world.trained import scorer, train_artifacts
from observability.models.artifact import digest_of, load_model
from observability.models.reference import describe
from traces import Outcome


def test_the_recorded_inputs_give_the_recorded_score(models, decisions):
    by_version = {model.version: scorer(model.decision_type, model.artifact) for model in models}
    for event in list(decisions.values())[::991]:
        row = np.array([list(event.body.inputs.values())])
        assert by_version[event.body.model](row)[0] == event.body.recommendation.score


def test_a_score_of_the_int8_model_does_not_depend_on_its_batch(models):
    model = next(model for model in models if model.decision_type == "valve.throttle")
    score = scorer(model.decision_type, model.artifact)
    rows = pl.read_parquet(model.reference).select(names("valve.throttle")).head(300).to_numpy()
    together = score(rows)
    assert [score(row[None])[0] for row in rows] == together.tolist()
    for size in (2, 3, 7, 16, 33):
        assert score(rows[5 : 5 + size]).tolist() == together[5 : 5 + size].tolist()


def test_all_scales_of_the_int8_model_are_constants_of_its_artifact(models):
    model = next(model for model in models if model.decision_type == "valve.throttle")
    graph = onnx.load(model.artifact).graph
    operations = {node.op_type for node in graph.node}
    assert "DynamicQuantizeLinear" not in operations
    weights = [
        i for i in graph.initializer if i.name.startswith("weight_") and i.name.endswith("_q")
    ]
    assert weights and all(i.data_type == onnx.TensorProto.INT8 for i in weights)


def test_each_model_has_two_releases_that_differ(models):
    for type_ in ("pump.stop", "valve.throttle"):
        versions = [model for model in models if model.decision_type == type_]
        assert [model.version.version for model in versions] == ["1.0.0", "1.1.0"]
        assert len({model.version.digest for model in versions}) == 2
        assert versions[0].released_at < versions[1].released_at


def test_the_digest_is_that_of_the_artifact(models):
    for model in models:
        assert model.version.digest == digest_of(model.artifact.read_bytes())


def test_a_reference_holds_the_whole_baseline_of_every_device(world, models):
    for model in models:
        content = model.reference.read_bytes()
        reference = describe(content, model.features, str(model.reference))
        assert reference.row_count == world.baseline_days * 96 * 12
        assert reference.device_count == 12
        assert (reference.last_at - reference.first_at).days == world.baseline_days - 1


def test_the_stop_model_is_one_that_the_product_loads(models):
    for model in models:
        if model.decision_type == "pump.stop":
            assert load_model(model.artifact).feature_names == names("pump.stop")


def test_the_model_finds_most_of_the_distress_and_is_seldom_wrong(healthy_events):
    labels = [e.body.label for e in healthy_events if isinstance(e.body, Outcome)]
    right = sum(label in ("fault", "surge") for label in labels)
    assert right / len(labels) > 0.8


def test_training_again_gives_the_same_bytes(world, models, tmp_path):
    again = train_artifacts(machines(fleet(12), world.seed), tmp_path)
    digests = {(m.decision_type, m.version.version): m.version.digest for m in models}
    assert {key: digest_of(path.read_bytes()) for key, path in again.items()} == digests


def test_a_model_that_is_there_is_not_trained_again(world, folder, models):
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    world.train(folder)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
