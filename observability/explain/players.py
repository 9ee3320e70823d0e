"""The players of a black box: features, or groups of features that come and go together.

Owns how a coalition becomes a row: its players as in the decision, all others as in a background row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from observability.models.features import Feature
from observability.models.model import Model
from traces.errors import WrongUse

Players = Sequence[Sequence[int]]
"""The feature numbers of each player; every feature belongs to one."""
ROWS_AT_ONCE = 1 << 16


def each_feature(count: int) -> Players:
    """A player for each feature."""
    return [[number] for number in range(count)]


def parts_of(features: Sequence[Feature]) -> dict[str, list[int]]:
    """The feature numbers of each part of an attribution, by the name of its player or only feature.

    >>> parts_of([Feature("b1", player="spectrum"), Feature("t"), Feature("b2", player="spectrum")])
    {'spectrum': [0, 2], 't': [1]}
    """
    members: dict[str, list[int]] = {}
    for number, feature in enumerate(features):
        members.setdefault(feature.player or feature.name, []).append(number)
    return {
        features[part[0]].name if len(part) == 1 else name: part for name, part in members.items()
    }


def player_of(players: Players, feature_count: int) -> np.ndarray:
    """The player of each feature, shape `(n_features,)`. Raises WrongUse where not each has one.

    >>> player_of([[0, 2], [1]], 3)
    array([0, 1, 0])
    """
    members = [feature for player in players for feature in player]
    if sorted(members) != list(range(feature_count)):
        raise WrongUse(
            f"players of the features {sorted(members)}", f"each of {feature_count} once"
        )
    owner = np.empty(feature_count, dtype=np.int64)
    for number, player in enumerate(players):
        owner[list(player)] = number
    return owner


def margins(model: Model, rows: np.ndarray) -> np.ndarray:
    """Margins `(..., n_outputs)` of rows `(..., n_features)`, in as few calls as memory allows."""
    flat = rows.reshape(-1, rows.shape[-1])
    parts = [model.margin(flat[at : at + ROWS_AT_ONCE]) for at in range(0, len(flat), ROWS_AT_ONCE)]
    return np.concatenate(parts).reshape(*rows.shape[:-1], -1)


def mixed(present: np.ndarray, rows: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Every row with every background row, under each of its coalitions.

    `present` `(n_background or 1, n_coalitions, n_features)`, rows and background `(n, n_features)`;
    the result is `(n_rows, n_background, n_coalitions, n_features)`.
    """
    return np.where(present[None], rows[:, None, None, :], background[None, :, None, :])
