"""Exact Shapley values of any model with few players: all coalitions against the whole background."""

from __future__ import annotations

import math

import numpy as np

from observability.explain.players import ROWS_AT_ONCE, Players, margins, mixed, player_of
from observability.models.model import Model

MOST_PLAYERS = 10


def enumerated_values(
    model: Model, background: np.ndarray, players: Players, rows: np.ndarray
) -> np.ndarray:
    """Shapley values `(n_rows, n_players, n_outputs)` of rows `(n_rows, n_features)`."""
    count = len(players)
    member = (np.arange(1 << count)[:, None] >> np.arange(count)) & 1 == 1
    present = member[:, player_of(players, rows.shape[1])]
    worth = np.stack([_worth(model, background, present, row) for row in rows])
    size = member.sum(axis=1)
    share = np.array([1 / (count * math.comb(count - 1, held)) for held in range(count)])
    phi = np.empty((len(rows), count, worth.shape[-1]))
    for player in range(count):
        without = np.flatnonzero(~member[:, player])
        gained = worth[:, without | 1 << player] - worth[:, without]
        phi[:, player] = np.einsum("c,nck->nk", share[size[without]], gained)
    return phi


def _worth(
    model: Model, background: np.ndarray, present: np.ndarray, row: np.ndarray
) -> np.ndarray:
    """The mean margin of each coalition over the background, shape `(n_coalitions, n_outputs)`."""
    step = max(1, ROWS_AT_ONCE // len(background))
    parts = [
        margins(model, mixed(present[None, at : at + step], row[None], background)[0]).mean(axis=0)
        for at in range(0, len(present), step)
    ]
    return np.concatenate(parts)
