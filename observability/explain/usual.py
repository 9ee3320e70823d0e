"""What is usual for an input: its quantiles among the device's own decisions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, slots=True)
class UsualRange:
    """Quantiles of one input over `count` recorded values, in its own unit; NaN where there is none.

    Nine of ten values lie from `low` to `high`, half of them from `lower` to `upper`.
    """

    low: float
    lower: float
    median: float
    upper: float
    high: float
    count: int

    @property
    def iqr(self) -> float:
        """The interquartile range: the unit in which changes of this input are compared with others."""
        return self.upper - self.lower

    def holds(self, value: float) -> bool | None:
        """Whether a value is one of the nine of ten; None where nothing is known."""
        return None if self.count == 0 or np.isnan(value) else self.low <= value <= self.high


UNKNOWN = UsualRange(*[float("nan")] * len(_QUANTILES), count=0)
"""Of an input that was never measured."""


def usual_ranges(rows: np.ndarray) -> tuple[UsualRange, ...]:
    """The usual range of each column of rows `(n, n_features)`; values that are not finite do not count."""
    return tuple(_usual(column[np.isfinite(column)]) for column in rows.T)


def _usual(values: np.ndarray) -> UsualRange:
    if not len(values):
        return UNKNOWN
    return UsualRange(*np.quantile(values, _QUANTILES).tolist(), count=len(values))
