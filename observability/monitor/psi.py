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


def carried(reference: np.ndarray, current: np.ndarray) -> np.ndarray:
    """The part that each device has in the fleet's shift, shape `(n_devices,)`; the parts sum to 1.

    Counts of shape `(n_devices, n_bins)`, each device's own baseline beside what it has now. A part
    is the exact Shapley value of sum(delta^2 / p), PSI's quadratic form; a device that pulls the
    fleet back has a negative one. NaN where nothing moved.

    >>> carried(np.array([[50, 50], [50, 50]]), np.array([[50, 50], [90, 10]])).tolist()
    [0.0, 1.0]
    """
    n = current.sum(axis=-1, keepdims=True)
    whole = reference.sum(axis=-1, keepdims=True)
    expected = n * reference / np.where(whole, whole, 1)
    delta = current - expected
    level = np.maximum(expected.sum(axis=0), FLOOR * max(n.sum(), 1))
    parts = (delta * delta.sum(axis=0) / level).sum(axis=-1)
    return parts / parts.sum() if parts.sum() > 0 else np.full(len(current), np.nan)


def _shares(counts: np.ndarray) -> np.ndarray:
    total = counts.sum(axis=-1, keepdims=True)
    enough = np.where(total >= FEWEST, total, np.nan)
    return np.maximum(counts / enough, FLOOR)
