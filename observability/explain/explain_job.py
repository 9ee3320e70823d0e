"""Explains new decisions beside the receiver, and old ones of a model that is registered late.

A batch at a time; what is stored is never stored twice, whoever explains.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import datetime
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
from observability.store.lake import cursor, now, reading, snapshot_id
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
from traces.errors import ModelError, first_line

BATCH_ROWS = 8_192
"""Decisions looked at in one step,"""
BLACK_BOX_ROWS = 64
"""and those of a black box that are explained in one: each costs many milliseconds."""
_RETRY_S = 600.0
"""After which a model that could not be loaded is tried again."""
_log = logging.getLogger("whence.explain")


class ExplainJob:
    """Explains the decisions of a writer's store."""

    lease = "explain"
    every_s = 5.0

    def __init__(self, writer: Writer, _stopped: threading.Event) -> None:
        self._writer = writer
        self._con = cursor(writer.con)
        self._seen = self._caught_up = -1
        self._subjects: dict[Subject, RegisteredModel] = {}
        self._retry_at: dict[Subject, float] = {}

    def is_due(self) -> bool:
        """Whether anything was committed since all was explained."""
        return snapshot_id(self._con) != self._seen

    def steps(self) -> Iterator[object]:
        """Take a step with each subject that is behind, until none is."""
        while True:
            seen = snapshot_id(self._con)
            self._know(_subjects(self._con, self._writer))
            behind = self._behind()
            for subject, (mark, ends) in behind.items():
                self._try(subject, mark, ends)
                yield subject
            if not behind:
                self._seen = seen
                return

    def close(self) -> None:
        """End reading."""
        self._con.close()

    def _know(self, subjects: dict[Subject, RegisteredModel]) -> None:
        """What can be explained may have changed: then all is looked at again."""
        if subjects != self._subjects:
            self._subjects, self._caught_up = subjects, -1
            self._retry_at.clear()

    def _try(self, subject: Subject, mark: Watermark, ends: Watermark) -> None:
        """Take a step; a model that cannot is left alone for a while."""
        try:
            self._step(subject, mark, ends)
            self._retry_at.pop(subject, None)
        except (ModelError, ImportError) as error:
            self._retry_at[subject] = time.monotonic() + _RETRY_S
            name = f"{subject.model_name} {subject.model_version}"
            _log.warning("%s cannot be explained: %s", name, error)

    def _behind(self) -> dict[Subject, tuple[Watermark, Watermark]]:
        """The subjects that have something to be explained: where they go on, and up to where."""
        decided, marks = newest(self._con, self._caught_up), watermarks(self._con)
        last_review, moment = newest_review(self._con), time.monotonic()
        behind = dict[Subject, tuple[Watermark, Watermark]]()
        for subject, model in self._subjects.items():
            named = subject.model_name, subject.model_version, subject.model_digest
            mark = marks.get(subject, Watermark())
            ends = Watermark(decided.get(named, -1), last_review if _may_select(model) else -1)
            if mark.decisions < ends.decisions or mark.reviews < ends.reviews:
                behind[subject] = mark, ends
        if not behind:
            self._caught_up = max([self._caught_up, *decided.values()])
        return {one: at for one, at in behind.items() if self._retry_at.get(one, 0.0) <= moment}

    def _step(self, subject: Subject, mark: Watermark, ends: Watermark) -> None:
        """Explain the next decisions of a subject, or those reviewed since, and move its watermark.

        Raises ModelError and ImportError where the model cannot be loaded or does not score.
        """
        prepared = _engine(self._subjects[subject])
        selection = _selection(self._subjects[subject], prepared)
        received_at = now(self._con)
        if mark.decisions < ends.decisions:
            with reading(self._con):
                waiting, last = unexplained(self._con, subject, mark.decisions, BATCH_ROWS)
            stopped = self._store(prepared, selection, waiting, received_at)
            upto = last if stopped is None else stopped
            mark = replace(mark, decisions=ends.decisions if upto is None else upto)
        else:
            late = reviewed(self._con, subject, mark.decisions, mark.reviews)
            if self._store(prepared, selection, late, received_at) is None:
                mark = replace(mark, reviews=ends.reviews)
        advance(self._writer, subject, mark, received_at)

    def _store(
        self,
        prepared: Engine,
        selection: Selection | None,
        waiting: pl.DataFrame,
        received_at: datetime,
    ) -> int | None:
        """Attribute what is selected and commit it; the last row of them where some were left over."""
        weight = np.ones(waiting.height) if selection is None else selection.weights(waiting)
        chosen = waiting.with_columns(weight=pl.Series(weight)).filter(pl.col("weight") > 0)
        part = chosen if selection is None else chosen.head(BLACK_BOX_ROWS)
        if part.is_empty():
            return None
        try:
            rows = attributed_rows(prepared, part, layouts(self._con))
        except Exception as error:  # a model's runtime raises many kinds, of no common base
            raise ModelError(
                f"a model that does not score ({first_line(error)})", "a score for each decision"
            ) from error
        self._writer.write(
            {
                "specs": arrow_table("specs", [asdict(prepared.spec)], received_at),
                "attributions": arrow_table("attributions", rows, received_at),
            }
        )
        return None if part.height == chosen.height else part["position"][-1]


def _subjects(con: duckdb.DuckDBPyConnection, writer: Writer) -> dict[Subject, RegisteredModel]:
    """What can be explained: the registered models that have a reference, with the current one."""
    return {
        Subject(
            model.version.name, model.version.version, model.version.digest, held.reference_id
        ): model
        for model in registered(con, writer.store)
        if (held := model.reference) is not None
    }


def _engine(model: RegisteredModel) -> Engine:
    """What explains a model against its reference. Raises ModelError and ImportError."""
    if model.reference is None or model.reference_path is None:
        raise ModelError("a model without a reference", "one")
    return engine(
        model.artifact_path,
        model.version.digest,
        model.features,
        model.reference_path,
        model.reference,
    )


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
