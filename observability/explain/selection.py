"""Which decisions of a black box are explained unasked, and for how many each one stands.

Explaining a black box costs milliseconds a decision. Those that people ask about are explained all: what a
gate stopped or changed, what a person reviewed, what was a near thing. Of the rest a sample stands for all.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import polars as pl

SAMPLE_SHARE = 0.02
"""Of the decisions that nothing but chance selects."""
NEAR_SHARE = 0.05
"""A score is near the threshold where no more than this share of the reference's scores are nearer."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What selects a model's decisions: the scores `(n,)` of its background, and its registered threshold."""

    reference_scores: np.ndarray
    threshold: float | None

    def weights(self, decisions: pl.DataFrame) -> np.ndarray:
        """For how many decisions each row stands, (rows,): 1, one over the sample's share, or 0: left out.

        Columns: decision_id, disposition, reviewed, score, threshold (NULL = the registered one).
        """
        asked_about = (decisions["disposition"] != "executed") | decisions["reviewed"]
        sampled = np.array([is_sampled(each) for each in decisions["decision_id"]], dtype=bool)
        by_chance = np.where(sampled, 1 / SAMPLE_SHARE, 0.0)
        return np.where(asked_about.to_numpy() | self._is_near(decisions), 1.0, by_chance)

    def _is_near(self, decisions: pl.DataFrame) -> np.ndarray:
        score = decisions["score"].cast(pl.Float64).to_numpy()
        registered = np.nan if self.threshold is None else self.threshold
        threshold = decisions["threshold"].cast(pl.Float64).fill_null(registered).to_numpy()
        near = np.zeros(len(score), dtype=bool)
        for one in np.unique(threshold[np.isfinite(threshold)]):
            within = np.quantile(np.abs(self.reference_scores - one), NEAR_SHARE)
            near |= (threshold == one) & (np.abs(score - one) <= within)
        return near


def is_sampled(decision_id: str) -> bool:
    """Whether chance selects a decision: the same for the same id, here and anywhere.

    >>> sum(is_sampled(str(number)) for number in range(10_000))
    202
    """
    drawn = int.from_bytes(hashlib.sha256(decision_id.encode()).digest()[:8])
    return drawn < SAMPLE_SHARE * 2**64
