"""The link between a model's margin, in which attributions add up, and its score.

Owns the three links and both directions of each.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

Link = Literal["identity", "logit", "softmax"]


def score_of(margin: np.ndarray, link: Link) -> np.ndarray:
    """Scores of margins of shape `(n_rows,)` or `(n_rows, n_outputs)`.

    >>> score_of(np.array([0.0]), "logit"), score_of(np.zeros((1, 4)), "softmax")
    (array([0.5]), array([[0.25, 0.25, 0.25, 0.25]]))
    """
    if link == "identity":
        return margin
    if link == "logit":
        with np.errstate(over="ignore"):
            return 1.0 / (1.0 + np.exp(-margin))
    raised = np.exp(margin - margin.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def on_link(score: float | None, link: str) -> float | None:
    """A score in the link's unit; None where it has no finite place there.

    >>> on_link(0.5, "logit"), on_link(30.0, "identity"), on_link(1.0, "logit")
    (0.0, 30.0, None)
    """
    if score is None or not math.isfinite(score) or link == "softmax":
        return None
    if link == "identity":
        return score
    return math.log(score / (1.0 - score)) if 0.0 < score < 1.0 else None
