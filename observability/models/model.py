"""A loaded model, whatever its artifact: what it scores, and what of its inside is known.

Owns the meaning of score and margin. An engine that knows the trees or the weights is exact and fast;
one that knows neither has to ask for scores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from observability.models.link import Link
from observability.models.trees import Trees

Scores = Callable[[np.ndarray], np.ndarray]
"""From float64 rows `(n_rows, n_features)` to `(n_rows,)`, or `(n_rows, n_outputs)` of several outputs."""


def as_is(rows: np.ndarray) -> np.ndarray:
    """The rows themselves."""
    return rows


@dataclass(frozen=True, slots=True)
class Linear:
    """Margins `rows @ weights + bias`: weights `(n_features, n_outputs)`, bias `(n_outputs,)`."""

    weights: np.ndarray
    bias: np.ndarray

    def margin(self, rows: np.ndarray) -> np.ndarray:
        """Margins of shape `(n_rows, n_outputs)`."""
        return rows @ self.weights + self.bias


@dataclass(frozen=True, slots=True)
class Model:
    """A model whose `margin` is in the unit of `link`; `digest` is `sha256:<64 hex>` of its file.

    `trees` and `linear` give the margins of *prepared* rows: `prepare` scales features one by one, as
    the artifact does before anything else. `by_row`: a score would depend on the other rows of its
    batch, so that rows are scored one by one.
    """

    digest: str
    artifact: str
    link: Link
    feature_names: tuple[str, ...]
    score: Scores = field(repr=False, compare=False)
    margin: Scores = field(repr=False, compare=False)
    runtime: tuple[str, ...] = ()
    output_count: int = 1
    trees: Trees | None = field(default=None, repr=False, compare=False)
    linear: Linear | None = field(default=None, repr=False, compare=False)
    prepare: Scores = field(default=as_is, repr=False, compare=False)
    by_row: bool = False


def single(scores: np.ndarray) -> np.ndarray:
    """Scores of one output as `(n_rows,)`, of several as they are."""
    return scores[:, 0] if scores.ndim == 2 and scores.shape[1] == 1 else scores
