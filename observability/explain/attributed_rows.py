"""The attributions of many decisions of one model at once, as rows of the table `attributions`.

A decision that cannot be explained gets a row too, which says why: nobody tries it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from observability.explain.attributed import Engine, problems
from observability.models.features import Feature
from observability.models.reference import encode
from observability.store.records import withheld
from traces.conventions import PSEUDONYM, WITHHELD

OK = "ok"
_OF_DECISION = ("device_id", "decision_id", "decision_type", "decided_at", "weight")

Layouts = Mapping[str, tuple[Sequence[str], Sequence[str]]]
"""The names of inputs and of categoricals, by layout_id."""
Row = dict[str, Any]


def attributed_rows(prepared: Engine, decisions: pl.DataFrame, layouts: Layouts) -> list[Row]:
    """A row for each decision, in no order.

    Columns: device_id, decision_id, decision_type, decided_at, weight, score, layout_id, inputs,
    categoricals, rest.
    """
    rows: list[Row] = []
    for (layout_id,), alike in decisions.group_by("layout_id"):
        names, categorical_names = layouts.get(str(layout_id), ((), ()))
        missing = [
            feature.name
            for feature in prepared.features
            if feature.name not in (categorical_names if feature.levels else names)
        ]
        if missing:
            status = f"the device recorded no {', '.join(missing)}"
            rows += _unexplained(prepared, alike, [status] * alike.height)
            continue
        values = _by_feature(prepared.features, alike, names, categorical_names)
        hidden = _withheld(prepared.features, alike["rest"], values)
        known = np.array([not status for status in hidden], dtype=bool)
        rows += _unexplained(prepared, alike.filter(~known), [one for one in hidden if one])
        if known.any():
            encoded = encode(values.filter(known), prepared.features)
            rows += _explained(prepared, alike.filter(known), encoded)
    return rows


def _by_feature(
    features: Sequence[Feature],
    alike: pl.DataFrame,
    names: Sequence[str],
    categorical_names: Sequence[str],
) -> pl.DataFrame:
    """The model's inputs of decisions of one layout, a column for each feature."""
    return alike.select(
        pl.col("categoricals").list.get(categorical_names.index(feature.name)).alias(feature.name)
        if feature.levels
        else pl.col("inputs").list.get(names.index(feature.name)).alias(feature.name)
        for feature in features
    )


def _withheld(features: Sequence[Feature], rest: pl.Series, values: pl.DataFrame) -> list[str]:
    """Which inputs of the model stayed on the device, as a line for each decision; empty: none."""
    names = [set(withheld(one)) for one in rest]
    for feature in features:
        if feature.levels:
            hidden = values[feature.name].str.starts_with(PSEUDONYM).fill_null(value=False)
            for place in hidden.arg_true():
                names[place].add(feature.name)
    kept = [[f.name for f in features if f.name in each] if each else [] for each in names]
    return [f"{', '.join(each)} {WITHHELD}" if each else "" for each in kept]


def _unexplained(prepared: Engine, decisions: pl.DataFrame, why: Sequence[str]) -> Iterator[Row]:
    for row, status in zip(decisions.select(_OF_DECISION).to_dicts(), why, strict=True):
        yield {**row, "spec_id": prepared.spec.spec_id, "status": status}


def _explained(prepared: Engine, decisions: pl.DataFrame, encoded: np.ndarray) -> Iterator[Row]:
    """Of several classes, the attributions of the likeliest."""
    model, count = prepared.explainer.model, len(encoded)
    found, scores = prepared.explainer.attribute(encoded), model.score(encoded).reshape(count, -1)
    places = np.arange(count), np.argmax(scores, axis=1)
    replayed = scores[places]
    output = found.output.reshape(count, -1)[places]
    residual = found.residual.reshape(count, -1)[places]
    base = np.broadcast_to(np.ravel(found.base), scores.shape)[places]
    phi = found.phi.reshape(count, -1, scores.shape[1])[places[0], :, places[1]]
    error = found.standard_error.reshape(count, -1, scores.shape[1])[places[0], :, places[1]]
    errors = error.tolist() if error.any() else [[]] * count
    of_model = zip(
        phi.tolist(), errors, base.tolist(), output.tolist(), residual.tolist(), replayed.tolist(),
        decisions["score"], decisions.select(_OF_DECISION).to_dicts(), strict=True,
    )  # fmt: skip
    for parts, se, mean, made, left, again, score, row in of_model:
        wrong = problems(left, made, again, score)
        yield {
            **row,
            "spec_id": prepared.spec.spec_id,
            "phi": parts,
            "se": se,
            "base": mean,
            "output": made,
            "residual": left,
            "replay_error": None if score is None else abs(again - score),
            "status": wrong[0].partition(":")[0] if wrong else OK,
        }
