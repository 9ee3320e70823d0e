"""Whose shift it is: the exact part of each device, and of each input in a change of the score.

The fleet's shift is the sum over bins of delta^2 / p (PSI's quadratic form). A device's part is its
Shapley value in it, so that the parts sum to the whole, and those of any group of devices to the group's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from observability.monitor.drift import Drift
from observability.monitor.psi import FLOOR
from traces.errors import WrongUse

MOST = 0.8
"""Devices that carry this much of a shift are those whose shift it is."""
OTHERS = "other devices"
"""All that a Drift does not look at one by one, and those that no longer decide."""


@dataclass(frozen=True, slots=True, eq=False)
class Contributions:
    """The part of each device (or group), shape `(n_devices,)`; `within + mix` sums to the shift.

    `within`: the device's own values moved. `mix`: it decides more or less often than it did, and is
    not like the others; all of a device without a baseline. Negative where one pulls the fleet back.
    """

    within: np.ndarray
    mix: np.ndarray

    @property
    def whole(self) -> float:
        """The fleet's shift; 0 where nothing moved."""
        return float(self.parts.sum())

    @property
    def parts(self) -> np.ndarray:
        """Both kinds together."""
        return self.within + self.mix

    @property
    def shares(self) -> np.ndarray:
        """The parts as shares of the whole; they sum to 1. NaN where nothing moved."""
        return self.parts / self.whole if self.whole > 0 else np.full(len(self.parts), np.nan)


@dataclass(frozen=True, slots=True, eq=False)
class MeanAttribution:
    """The mean attributions `(n_features,)` and mean score of some decisions, under one spec."""

    spec_id: str
    base: float
    phi: np.ndarray

    @property
    def score(self) -> float:
        """The mean score, in the model's link units."""
        return self.base + float(self.phi.sum())


def contributions(baseline: np.ndarray, current: np.ndarray) -> Contributions:
    """The parts of the devices; counts `(n_devices, n_bins)`, in the same order. Zeros where either is empty.

    >>> contributions(np.array([[50, 50], [50, 50]]), np.array([[50, 50], [90, 10]])).shares.tolist()
    [0.0, 1.0]
    """
    usual, now = baseline.sum(axis=1, keepdims=True), current.sum(axis=1, keepdims=True)
    if usual.sum() == 0 or now.sum() == 0:
        return Contributions(np.zeros(len(baseline)), np.zeros(len(baseline)))
    fleet = baseline.sum(axis=0) / usual.sum()
    found = current / np.maximum(now, 1)
    expected = np.where(usual > 0, baseline / np.maximum(usual, 1), found)
    weight_now, weight = now / now.sum(), usual / usual.sum()
    within = weight_now * (np.where(now > 0, found, expected) - expected)
    mix = (weight_now - weight) * (expected - fleet)
    pull = (within + mix).sum(axis=0) / np.maximum(fleet, FLOOR)
    return Contributions(within @ pull, mix @ pull)


def of_devices(
    drift: Drift, name: str, first: int = 0, until: int | None = None
) -> tuple[tuple[str, ...], Contributions]:
    """Who has which part of the shift of one input in the buckets from `first` up to `until`.

    The devices of the drift, then `OTHERS` where there are any, so that the parts sum to the fleet's.
    Of a baseline that names no device all parts are `within`, each device beside the fleet's baseline.
    """
    n, cube = drift.names.index(name), drift.baseline.cube
    now = drift.now[1:, first:until, n].sum(axis=1)
    places = {device: place for place, device in enumerate(drift.devices)}
    at = np.array([places.get(device, -1) for device in cube.cells["device_id"]], dtype=int)
    usual = np.zeros_like(now)
    np.add.at(usual, at[at >= 0], cube.counts[at >= 0, n])
    if not usual.any():
        fleet = drift.usual[0, n]
        usual = now.sum(axis=1, keepdims=True) * fleet / max(fleet.sum(), 1)
        return drift.devices, contributions(usual, now)
    rest = drift.usual[0, n] - usual.sum(axis=0)
    rest_now = drift.now[0, first:until, n].sum(axis=0) - now.sum(axis=0)
    if not (rest.any() or rest_now.any()):
        return drift.devices, contributions(usual, now)
    found = contributions(np.vstack([usual, rest]), np.vstack([now, rest_now]))
    return (*drift.devices, OTHERS), found


def grouped(parts: Contributions, groups: Sequence[str]) -> tuple[tuple[str, ...], Contributions]:
    """The parts of sites, firmware or versions, by the group of each device: sorted names, parts."""
    names, place = np.unique(np.asarray(groups), return_inverse=True)
    within, mix = (
        np.bincount(place, values, minlength=len(names)) for values in (parts.within, parts.mix)
    )
    return tuple(str(name) for name in names), Contributions(within, mix)


def carriers(parts: Contributions, most: float = MOST) -> np.ndarray:
    """The fewest devices that carry that much of a shift, strongest first; none where nothing moved."""
    shares = parts.shares
    if not len(shares) or np.isnan(shares).any():
        return np.zeros(0, dtype=int)
    order = np.argsort(-shares, kind="stable")
    return order[: int(np.argmax(shares[order].cumsum() >= most - 1e-12)) + 1]


def score_change(before: MeanAttribution, after: MeanAttribution) -> np.ndarray:
    """What each feature adds to the change of the mean score, `(n_features,)`; they sum to the change.

    Raises WrongUse where the two were explained under different specs: their parts cannot be compared.
    """
    if before.spec_id != after.spec_id:
        raise WrongUse(
            f"attributions under {before.spec_id} and {after.spec_id}",
            "attributions under one spec",
            "explain both sets of decisions against the same reference",
        )
    return after.phi - before.phi
