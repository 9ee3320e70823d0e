"""The population stability index: how far one set of counts lies from another, as an effect size.

Nothing here says whether a shift is significant: sensors repeat themselves, so that healthy days
differ from each other far more than independent rows would.
"""

from __future__ import annotations

import numpy as np

FEWEST = 50
"""Values below which a set of counts gives no PSI."""
FLOOR = 1e-4
"""Least share that a bin is taken to have, so that an empty one stays finite."""


def psi(reference: np.ndarray, current: np.ndarray) -> np.ndarray:
    """PSI of counts over the last axis; both broadcast. NaN where either has fewer than 50 values.

    A bin that both lack adds nothing, so bins may be padded.

    >>> float(psi(np.array([50, 50]), np.array([500, 500])))
    0.0
    >>> round(float(psi(np.array([50, 50]), np.array([90, 10]))), 3)
    0.879
    """
    expected, found = _shares(reference), _shares(current)
    return ((found - expected) * np.log(found / expected)).sum(axis=-1)


def _shares(counts: np.ndarray) -> np.ndarray:
    total = counts.sum(axis=-1, keepdims=True)
    enough = np.where(total >= FEWEST, total, np.nan)
    return np.maximum(counts / enough, FLOOR)
