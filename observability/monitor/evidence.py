"""Evidence that a stream has changed for good, day by day: one number that only grows by surprise.

Each day's p-values become an e-value, whose mean is at most 1 while nothing has changed; their running
product, restarted whenever it falls below 1, is the strength of the evidence. By chance it reaches
1,000 less than once in 1,000 days of a stream. An alarm needs that, and 14 n of n streams, so that all of
them together alarm less than once in 14 days, but never more than 5,000. Calibrated on the baseline's
own days, not guaranteed.

Shin, Ramdas and Rinaldo 2022 (e-detectors); Wang and Ramdas 2022 (e-BH).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from observability.monitor.calibration import Calibrated, Insufficient
from observability.monitor.psi import FLOOR

ALARM = 1000.0
"""The least strength from which a stream alarms."""
MANY = 5 * ALARM
"""What one of many streams needs: 14 times as much as there are, up to this; more would cost days."""
_DAYS_APART = 14.0
SATURATED = 2.0
"""Times what an alarm needs, where strength stops: a stream is quiet again days after its cause has gone."""
STANDS = 0.5
"""Of what an alarm needs, below which it ends: ordinary days in between do not let it flicker."""
LEAST_EFFECT = 0.05
"""The PSI below which a change is too small to matter: about a fifth of a standard deviation."""
_SMALLEST_P = 1e-300


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What the days of each stream say, shape `(n_streams, n_days)`.

    All numbers are NaN of streams that are `insufficient`, and no alarm stands. `strength` is at most
    twice what an alarm `needed`, and 1 where nothing speaks for a change. `since` is the day on which
    the evidence began to gather, -1 where there is none; `effect` the PSI of all values since that day.
    `alarm` tells on which days it stands, `reset` before which ones all evidence was forgotten.
    """

    e: np.ndarray
    strength: np.ndarray
    since: np.ndarray
    effect: np.ndarray
    alarm: np.ndarray
    reset: np.ndarray
    insufficient: tuple[Insufficient, ...]
    needed: float


def evidence(days: Calibrated, resets: np.ndarray | None = None) -> Evidence:
    """Gather the evidence of the days, in their order.

    `resets` `(n_days,)` or `(n_streams, n_days)` is True on days before which all evidence is
    forgotten: a release, a new reference. A day of which nothing can be said changes nothing.
    """
    e = day_evidence(days)
    forgotten = np.broadcast_to(False if resets is None else resets, e.shape)
    mute = np.array(
        [reason is not Insufficient.NOTHING for reason in days.insufficient], dtype=bool
    )
    needed = float(np.clip(_DAYS_APART * (~mute).sum(), ALARM, MANY))
    strength, since = gathered(e, forgotten, SATURATED * needed)
    effect = _effect(days, since)
    for values in (e, strength, effect):
        values[mute] = np.nan
    return Evidence(
        e=e,
        strength=strength,
        since=since,
        effect=effect,
        alarm=standing(strength, needed) & (effect >= LEAST_EFFECT),
        reset=forgotten,
        insufficient=days.insufficient,
        needed=needed,
    )


def day_evidence(days: Calibrated) -> np.ndarray:
    """The e-value of each day, `(n_streams, n_days)`: the mean of those of its p-values; 1 of none.

    Of n days whose shapes resemble the day before by r, n (1 - r) / (1 + r) are independent; that
    power of an e-value is one too.
    """
    power = (1 - days.repeats) / (1 + days.repeats)
    each = np.stack(
        [e_value(days.shape) ** power[:, None], e_value(days.level), e_value(days.apart)]
    )
    known = np.isfinite(each)
    mean = np.where(known, each, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(known.any(axis=0), mean, 1.0)


def e_value(p: np.ndarray) -> np.ndarray:
    """The e-value of a p-value, the mean of k p^(k - 1) over all k in (0, 1); NaN of NaN.

    >>> e_value(np.array([1.0, 0.01, 0.0001])).round(2).tolist()
    [0.5, 4.45, 117.76]
    """
    u = -np.log(np.clip(p, _SMALLEST_P, 1))
    return np.where(u > 1e-4, (np.exp(u) - 1 - u) / np.where(u > 1e-4, u, 1) ** 2, 0.5 + u / 6)


def gathered(
    e: np.ndarray, resets: np.ndarray, most: float = SATURATED * ALARM
) -> tuple[np.ndarray, np.ndarray]:
    """Strength M_t = max(M_(t-1), 1) e_t, 1 to `most`, and the day on which it left 1; -1 while it is 1.

    >>> strength, since = gathered(np.array([[0.5, 4.0, 10.0, 0.5]]), np.zeros((1, 4), bool))
    >>> strength.tolist(), since.tolist()
    ([[1.0, 4.0, 40.0, 20.0]], [[-1, 1, 1, 1]])
    """
    strength, since = np.ones(e.shape), np.full(e.shape, -1)
    now, began = np.ones(len(e)), np.full(len(e), -1)
    for day in range(e.shape[1]):
        before = np.where(resets[:, day], 1.0, now)
        now = np.clip(before * e[:, day], 1.0, most)
        began = np.where(now <= 1, -1, np.where(before > 1, began, day))
        strength[:, day], since[:, day] = now, began
    return strength, since


def standing(strength: np.ndarray, needed: float) -> np.ndarray:
    """On which days an alarm stands, `(n_streams, n_days)`: from what it needs down to half of that.

    >>> standing(np.array([[900.0, 1000.0, 500.0, 499.0, 900.0]]), 1000.0).tolist()
    [[False, True, True, False, False]]
    """
    stands, now = np.zeros(strength.shape, dtype=bool), np.zeros(len(strength), dtype=bool)
    for day, reached in enumerate(strength.T):
        now = (reached >= needed) | (now & (reached >= STANDS * needed))
        stands[:, day] = now
    return stands


def ranked(e: np.ndarray, share: float = 0.05) -> tuple[np.ndarray, int]:
    """Streams by e-value, strongest first, and how many of them e-BH names; NaN comes last.

    Of those named at most `share` are expected to be false, however the streams depend on each other.

    >>> ranked(np.array([1.0, 90.0, 700.0]))
    (array([2, 1, 0]), 2)
    """
    known = np.nan_to_num(e)
    order = np.argsort(-known, kind="stable")
    place = np.arange(1, len(e) + 1)
    tested = np.isfinite(e).sum()
    named = np.flatnonzero(place * known[order] >= tested / share)
    return order, int(named[-1]) + 1 if named.size else 0


def _effect(days: Calibrated, since: np.ndarray) -> np.ndarray:
    """PSI of the values from the day `since` on; 0 where that is -1."""
    values = days.days.values[..., None]
    found, expected = (
        _summed(shares * values, since) for shares in (days.days.found, days.days.expected)
    )
    whole = np.maximum(found.sum(axis=-1, keepdims=True), 1)
    found, expected = np.maximum(found / whole, FLOOR), np.maximum(expected / whole, FLOOR)
    return np.where(since >= 0, ((found - expected) * np.log(found / expected)).sum(axis=-1), 0)


def _summed(counts: np.ndarray, since: np.ndarray) -> np.ndarray:
    """Counts from the day `since` up to each day."""
    up_to = np.concatenate([np.zeros_like(counts[:, :1]), counts.cumsum(axis=1)], axis=1)
    return up_to[:, 1:] - np.take_along_axis(up_to, np.maximum(since, 0)[..., None], axis=1)
