"""Explains new decisions beside the receiver, and old ones of a model that is registered late.

Owns the pace: a thread of its own, a batch at a time, longer at rest than at work, so that receiving and
commits come first. One process explains at a time; what is stored is never stored twice, whoever does.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from observability.explain.attributed import KEPT_ENGINES, Engine, engine
from observability.explain.attributed_rows import attributed_rows
from observability.explain.selection import Selection
from observability.models.artifact import read_file
from observability.models.features import Feature
from observability.models.model import Model
from observability.models.reference import background
from observability.models.registry import RegisteredModel, registered
from observability.store.lake import cursor, reading, snapshot_id
from observability.store.read_unexplained import (
    layouts,
    newest,
    newest_review,
    reviewed,
    unexplained,
)
from observability.store.schema import arrow_table
from observability.store.watermarks import Subject, Watermark, advance, watermarks
from observability.store.write import Writer
from traces.errors import ModelError, WhenceError

LEASE = "explain"
BATCH_ROWS = 8_192
"""Decisions looked at in one step,"""
BLACK_BOX_ROWS = 256
"""and of a black box, decisions explained in one."""
_LOOK_EVERY_S = 5.0
_REST = 3
"""At rest for so many times as long as a step took: at most a quarter of one core."""
_RETRY_S = 600.0
"""After which a model that could not be loaded is tried again."""
_log = logging.getLogger("whence.explain")


class ExplainWorker:
    """Explains the decisions of a writer's store on a thread of its own until closed."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._closed = threading.Event()
        self._con = cursor(writer.con)
        self._seen = self._caught_up = -1
        self._subjects: dict[Subject, RegisteredModel] = {}
        self._retry_at: dict[Subject, float] = {}
        self._thread = threading.Thread(target=self._work, name="explain", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop after the step that runs; the next worker goes on from there."""
        self._closed.set()
        self._thread.join()
        self._con.close()

    def _work(self) -> None:
        while not self._closed.is_set():
            try:
                if snapshot_id(self._con) != self._seen:
                    with self._writer.lease(LEASE) as alone:
                        if alone:
                            self._pace(self._pass())
            except (duckdb.Error, OSError, WhenceError):
                _log.warning("explaining stopped, and is tried again", exc_info=True)
            self._closed.wait(_LOOK_EVERY_S)

    def _pace(self, steps: Iterator[None]) -> None:
        """Take the steps, with rests between them."""
        began = time.monotonic()
        for _ in steps:
            if self._closed.wait(_REST * (time.monotonic() - began)):
                return
            began = time.monotonic()

    def _pass(self) -> Iterator[None]:
        """Explain all that waits now, a commit in each step."""
        seen = snapshot_id(self._con)
        subjects = _subjects(self._con, self._writer)
        if subjects != self._subjects:
            self._subjects, self._caught_up = subjects, -1
            self._retry_at.clear()
        decided, marks = newest(self._con, self._caught_up), watermarks(self._con)
        last_review = newest_review(self._con)
        for subject, model in subjects.items():
            named = subject.model_name, subject.model_version, subject.model_digest
            mark = marks.get(subject, Watermark())
            ends = Watermark(decided.get(named, -1), last_review if _may_select(model) else -1)
            if mark.decisions < ends.decisions or mark.reviews < ends.reviews:
                yield from self._explain(subject, model, mark, ends)
        if not self._retry_at:
            self._caught_up = max([self._caught_up, *decided.values()])
        self._seen = seen

    def _explain(
        self, subject: Subject, model: RegisteredModel, mark: Watermark, ends: Watermark
    ) -> Iterator[None]:
        """Explain a subject's decisions from one watermark to another."""
        prepared = self._prepared(subject, model)
        if prepared is None:
            return
        selection = _selection(model, prepared)
        while mark.decisions < ends.decisions:
            with reading(self._con):
                waiting, upto = unexplained(self._con, subject, mark.decisions, BATCH_ROWS)
            yield from self._store(prepared, selection, waiting)
            mark = replace(mark, decisions=ends.decisions if upto is None else upto)
            advance(self._writer, subject, mark, self._writer.now())
            yield
        if selection is not None and mark.reviews < ends.reviews:
            late = reviewed(self._con, subject, mark.decisions, mark.reviews)
            yield from self._store(prepared, selection, late)
            mark = replace(mark, reviews=ends.reviews)
            advance(self._writer, subject, mark, self._writer.now())
            yield

    def _prepared(self, subject: Subject, model: RegisteredModel) -> Engine | None:
        """What explains a model; None where its files do not allow it, which is tried again later."""
        reference, path = model.reference, model.reference_path
        if reference is None or path is None or time.monotonic() < self._retry_at.get(subject, 0.0):
            return None
        try:
            prepared = engine(
                model.artifact_path, model.version.digest, model.features, path, reference
            )
        except (ModelError, ImportError) as error:
            self._retry_at[subject] = time.monotonic() + _RETRY_S
            _log.warning(
                "%s %s cannot be explained: %s", subject.model_name, subject.model_version, error
            )
            return None
        self._retry_at.pop(subject, None)
        return prepared

    def _store(
        self, prepared: Engine, selection: Selection | None, waiting: pl.DataFrame
    ) -> Iterator[None]:
        """Attribute what is selected and commit it."""
        weight = np.ones(waiting.height) if selection is None else selection.weights(waiting)
        chosen = waiting.with_columns(weight=pl.Series(weight)).filter(pl.col("weight") > 0)
        spec = arrow_table("specs", [asdict(prepared.spec)])
        for part in chosen.iter_slices(BATCH_ROWS if selection is None else BLACK_BOX_ROWS):
            rows = attributed_rows(prepared, part, layouts(self._con))
            self._writer.write({"specs": spec, "attributions": arrow_table("attributions", rows)})
            yield


def _subjects(con: duckdb.DuckDBPyConnection, writer: Writer) -> dict[Subject, RegisteredModel]:
    """What can be explained: the registered models that have a reference, with the current one."""
    return {
        Subject(
            model.version.name, model.version.version, model.version.digest, held.reference_id
        ): model
        for model in registered(con, writer.store)
        if (held := model.reference) is not None
    }


def _may_select(model: RegisteredModel) -> bool:
    """Whether the model may be a black box; of the others every decision is explained."""
    return model.artifact == "onnx"


def _selection(model: RegisteredModel, prepared: Engine) -> Selection | None:
    """What selects the decisions of a black box; None for a model whose every decision is explained."""
    scorer = prepared.explainer.model
    if scorer.trees is not None or scorer.linear is not None or model.reference_path is None:
        return None
    scores = _reference_scores(model.reference_path, model.features, scorer)
    return Selection(scores, model.threshold)


@functools.lru_cache(maxsize=KEPT_ENGINES)
def _reference_scores(path: Path, features: tuple[Feature, ...], model: Model) -> np.ndarray:
    """The scores `(n,)` of a reference's background; of several classes, those of the likeliest."""
    rows = background(read_file(path, "the registered reference"), features, str(path))
    return model.score(rows).reshape(len(rows), -1).max(axis=1)
