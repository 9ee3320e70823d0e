"""The worker: what is received, and what was before, is explained beside the receiver, each once."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from sklearn.neural_network import MLPClassifier

import observability
from observability.collect.serving import serving
from observability.explain import explain_job
from observability.explain.explain import explain
from observability.explain.explain_job import ExplainJob
from observability.explain.selection import NEAR_SHARE, SAMPLE_SHARE, is_sampled
from observability.models.artifact import model_of
from observability.models.features import Feature
from observability.models.model import Model
from observability.models.registry import add
from observability.store import lake, maintain, read_progress, worker
from observability.store.location import Store
from observability.store.worker import Worker
from observability.store.write import Writer
from tests.spans import (
    NOON,
    batch,
    decision_span,
    group,
    outcome_span,
    post,
    protobuf_body,
    review_span,
    rows,
)
from tests.trained import TRAIN, onnx_of
from traces import Decision, ModelVersion, Recommendation

FEATURES = tuple(Feature(name) for name in ("heat", "flow", "load", "wear", "step"))
ROWS = np.random.default_rng(3).normal(size=(1600, 5)).astype(np.float32).astype(np.float64)
LABELS = (ROWS[:, 0] + ROWS[:, 1] * ROWS[:, 2] > 0).astype(int)
THRESHOLD = 0.5
EACH = "SELECT count(*), count(DISTINCT (device_id, decision_id)) FROM attributions"


@dataclass(frozen=True)
class Known:
    """A model with its files, as people register it."""

    content: bytes
    model: Model
    folder: Path

    @property
    def version(self) -> ModelVersion:
        return ModelVersion("guard", "1", self.model.digest)

    def register(self, store: Store, version: str = "1", *, referenced: bool = True) -> None:
        artifact, reference = self.folder / "model", self.folder / "reference.parquet"
        artifact.write_bytes(self.content)
        pl.DataFrame(dict(zip(_names(), ROWS[:60].T, strict=True))).write_parquet(reference)
        add(
            store, artifact, name="guard", version=version, features=FEATURES,
            reference=reference if referenced else None, threshold=THRESHOLD,
        )  # fmt: skip

    def spans(self, count: int, start: int = 0, **fields: Any) -> list[Span]:
        """Decisions on the rows from `start` on, one a second."""
        taken = ROWS[start : start + count]
        return [
            self._span(row, score, number, fields)
            for number, (row, score) in enumerate(
                zip(taken, self.scores(taken), strict=True), start
            )
        ]

    def scores(self, taken: np.ndarray) -> np.ndarray:
        return self.model.score(taken).reshape(len(taken), -1).max(axis=1)

    def _span(self, row: np.ndarray, score: float, number: int, fields: dict[str, Any]) -> Span:
        plain: dict[str, Any] = {
            "model": self.version,
            "action": "run",
            "disposition": "executed",
            "recommendation": Recommendation("run", float(score), THRESHOLD),
            "inputs": dict(zip(_names(), row.tolist(), strict=True)),
        }
        at = NOON + number * 10**9
        decision = Decision("pump.stop", **(plain | fields))
        return decision_span(decision, start_time_unix_nano=at, end_time_unix_nano=at)


def _names() -> list[str]:
    return [feature.name for feature in FEATURES]


def small_trees(folder: Path) -> Known:
    content, _ = TRAIN["lightgbm"](ROWS[:300], LABELS[:300], 2, 4, 6, 1)
    return Known(content, model_of(content, "trees"), folder)


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Known:
    return small_trees(tmp_path_factory.mktemp("trees"))


@pytest.fixture(scope="module")
def black_box(tmp_path_factory: pytest.TempPathFactory) -> Known:
    network = MLPClassifier((6,), max_iter=30, random_state=0, tol=10.0)
    content, _ = onnx_of(network, ROWS[:300], LABELS[:300])
    return Known(content, model_of(content, "network"), tmp_path_factory.mktemp("network"))


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExplainJob, "every_s", 0.05)
    monkeypatch.setattr(worker, "_REST", 0)


def write(writer: Writer, spans: Sequence[Span]) -> None:
    writer.write(batch(*copy.deepcopy(spans)))  # it takes spans apart


def run(writer: Writer, until: Callable[[], bool] | None = None) -> None:
    """Let a new worker work, until all was looked at."""
    working = Worker(writer, ExplainJob)
    try:
        eventually(until or (lambda: caught_up(writer.store)))
    finally:
        working.close()


def caught_up(store: Store) -> bool:
    done = """SELECT count(*) > 0 AND min(decisions) >= (SELECT max(rowid) FROM decisions)
        FROM explain_watermarks"""
    return rows(store, done) == [(True,)]


def eventually(met: Callable[[], bool], within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def explained(store: Store) -> int:
    return rows(store, "SELECT count(*) FROM attributions WHERE status = 'ok'")[0][0]


def statuses(store: Store) -> dict[str, int]:
    return dict(rows(store, "SELECT status, count(*) FROM attributions GROUP BY ALL"))


def test_what_is_received_is_explained_as_the_page_explains_it(store: Path, trees: Known) -> None:
    sent = trees.spans(40)
    with serving(store, jobs=(ExplainJob,)) as url:
        trees.register(store)
        for part in (sent[:30], sent[30:]):
            assert post(url, protobuf_body(group(part))).status == 200
        eventually(lambda: explained(store) == 40)
    with observability.connect(store) as con:
        shown = explain(con, store, f"{sent[35].trace_id.hex()}-{sent[35].span_id.hex()}")
        assert shown is not None
        assert shown.attributions is not None
        found = con.execute(
            "SELECT phi, base, output, residual, replay_error, weight, se, decision_type"
            " FROM attributions WHERE decision_id = ? AND spec_id = ?",
            [shown.stored.decision_id, shown.attributions.spec.spec_id],
        ).fetchall()
    ((phi, base, output, residual, replay_error, *others),) = found
    assert phi == pytest.approx(shown.attributions.phi, abs=1e-6)
    assert (base, output) == (shown.attributions.base, shown.attributions.output)
    assert max(residual, replay_error, abs(base + sum(phi) - output)) < 1e-6
    assert others == [1.0, [], "pump.stop"]
    assert rows(store, "SELECT features FROM specs") == [(_names(),)]


def test_each_is_explained_once_whatever_comes_between(store: Path, trees: Known) -> None:
    trees.register(store)
    with Writer(store) as writer:
        for start in (0, 10):
            write(writer, trees.spans(10, start=start))
        run(writer)
        first = rows(store, "FROM attributions ORDER BY ALL")
        assert len(first) == 20
        with lake.cursor(writer.con) as con:  # rows move to other files
            assert list(maintain.steps(writer, maintain.begin(con)))
        assert not caught_up(store)
        run(writer)
        write(writer, trees.spans(5, start=20))
        with writer.changing("explain_watermarks") as con:
            con.execute("DELETE FROM explain_watermarks")
        run(writer)
    assert rows(store, EACH) == [(25, 25)]
    kept = rows(store, f"FROM attributions WHERE received_at <= '{first[0][-1]}' ORDER BY ALL")
    assert kept == first


def test_a_model_that_is_registered_late_explains_what_was_decided_before(
    store: Path, trees: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain_job, "BATCH_ROWS", 16)  # so that there are several steps
    with Writer(store) as writer:
        write(writer, trees.spans(50))
    with serving(store, jobs=(ExplainJob,)):
        trees.register(store, referenced=False)
        time.sleep(0.2)
        assert explained(store) == 0
        trees.register(store)
        eventually(lambda: explained(store) == 50)


def test_what_cannot_be_explained_says_why_and_is_not_tried_again(
    store: Path, trees: Known, caplog: pytest.LogCaptureFixture
) -> None:
    trees.register(store)
    inputs = dict.fromkeys(_names(), 1.0)
    other = ModelVersion("guard", "1", "sha256:" + "0" * 64)
    score = Recommendation("run", 0.123, THRESHOLD)
    spans = [
        *trees.spans(1),
        *trees.spans(2, inputs={"heat": 1.0}),
        *trees.spans(3, inputs=inputs | {"flow": float("nan")}, withheld=("flow", "place")),
        *trees.spans(4, recommendation=score),
        *trees.spans(5, model=other),
    ]
    expected = {
        "ok": 1,
        "the device recorded no flow, load, wear, step": 2,
        "flow withheld on the device": 3,
        "the model here is not what the device ran": 4,
    }
    with Writer(store) as writer:
        write(writer, spans)
        for _ in range(2):
            run(writer, lambda: sum(statuses(store).values()) == 10)
    assert statuses(store) == expected
    assert rows(store, "SELECT count(*) FROM attributions WHERE phi IS NULL") == [(5,)]
    assert not caplog.records


def test_a_damaged_artifact_is_said_and_the_other_models_are_explained(
    store: Path, trees: Known, black_box: Known, caplog: pytest.LogCaptureFixture
) -> None:
    trees.register(store, "1")
    black_box.register(store, "2")
    (store / "models" / trees.version.digest.removeprefix("sha256:") / "model.txt").write_text("x")
    second = ModelVersion("guard", "2", black_box.model.digest)
    blocked = black_box.spans(3, model=second, disposition="blocked")
    with Writer(store) as writer:
        write(writer, [*trees.spans(5), *blocked])
        run(writer, lambda: explained(store) == 3)
    assert "guard 1 cannot be explained: " in caplog.text


@pytest.fixture(scope="module")
def sampled(
    black_box: Known, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, list[Span]]]:
    """A store of 1,500 decisions of a black box; the first 20 blocked, the next 10 reviewed."""
    store = tmp_path_factory.mktemp("sampled") / "fleet"
    sent = [*black_box.spans(20, disposition="blocked"), *black_box.spans(1480, start=20)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ExplainJob, "every_s", 0.05)
        patch.setattr(worker, "_REST", 0)
        Writer(store).close()
        black_box.register(store)
        with Writer(store) as writer:
            write(writer, sent)
            write(writer, [review_span(one) for one in sent[20:30]])
            run(writer)
    yield store, sent


def test_of_a_black_box_what_people_ask_about_is_explained_and_a_sample_of_the_rest(
    sampled: tuple[Path, list[Span]], black_box: Known
) -> None:
    store, sent = sampled
    found = rows(store, "SELECT decision_id, weight, status FROM attributions")
    weights = {decision_id: weight for decision_id, weight, _ in found}
    assert {status for *_, status in found} == {"ok"}
    ids = [f"{one.trace_id.hex()}-{one.span_id.hex()}" for one in sent]
    assert {weights[one] for one in ids[:30]} == {1.0}
    reference = np.abs(black_box.scores(ROWS[:60]) - THRESHOLD)
    near = np.abs(black_box.scores(ROWS[:1500]) - THRESHOLD) <= np.quantile(reference, NEAR_SHARE)
    assert near[30:].any()
    for one, is_near in zip(ids[30:], near[30:], strict=True):
        expected = 1.0 if is_near else 1 / SAMPLE_SHARE if is_sampled(one) else None
        assert weights.get(one) == expected
    rest = 1500 - sum(weight == 1.0 for weight in weights.values())
    drawn = sum(weight > 1.0 for weight in weights.values())
    assert abs(drawn - SAMPLE_SHARE * rest) <= 3 * (SAMPLE_SHARE * rest) ** 0.5


def test_a_review_that_comes_later_selects_its_decision(
    sampled: tuple[Path, list[Span]],
) -> None:
    store, sent = sampled
    held = {one for (one,) in rows(store, "SELECT decision_id FROM attributions")}
    ids = {f"{one.trace_id.hex()}-{one.span_id.hex()}": one for one in sent}
    left_out = next(one for one in ids if one not in held)
    about = ids[left_out]
    asked = "SELECT weight FROM attributions WHERE decision_id = '{}'"
    with Writer(store) as writer:
        write(writer, [review_span(about), outcome_span(about)])
        run(writer, lambda: rows(store, asked.format(left_out)) == [(1.0,)])
    assert rows(store, EACH) == [(len(held) + 1, len(held) + 1)]


def test_the_health_of_a_store_tells_what_is_explained_and_what_is_not(
    sampled: tuple[Path, list[Span]], black_box: Known
) -> None:
    store, _ = sampled
    missing = ModelVersion("guard", "1", "sha256:" + "0" * 64)
    unknown = ModelVersion("ghost", "9", "sha256:" + "1" * 64)
    with Writer(store) as writer, observability.connect(store) as con:
        write(writer, [*black_box.spans(2, model=missing), *black_box.spans(1, model=unknown)])
        write(writer, black_box.spans(4, start=1500, disposition="blocked"))
        before = read_progress.progress(con)
        assert before is not None
        assert (before.total("waiting"), before.total("decisions")) == (4, 1504)
        assert before.waiting_since is not None
        ((stored,),) = con.sql("SELECT count(*) FROM attributions").fetchall()
        assert before.total("explained") == stored
        assert before.total("on_demand") == 1500 - stored
        write(writer, black_box.spans(1, start=1510, disposition="blocked", inputs={}))
        run(writer)
        found = read_progress.progress(con)
    assert found is not None
    assert (found.total("explained"), found.total("waiting")) == (stored + 4, 0)
    assert found.total("on_demand") == 1500 - stored
    assert found.waiting_since is None
    lacks = dict(found.models.select("model", "lacks").filter(pl.col("lacks") != "").iter_rows())
    assert lacks == {"guard 1": "another digest is registered", "ghost 9": "not registered here"}
    reason = "the device recorded no heat, flow, load, wear, step"
    assert found.reasons.rows() == [("guard 1", reason, 1)]
