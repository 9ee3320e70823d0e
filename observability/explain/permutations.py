"""Shapley values of any model by sampling: antithetic permutations, one background row for each pair.

A pair adds the players to one background row in a random order and in the reverse of it (Mitchell et
al. 2022). Every background row is visited equally often, so the parts sum to the output minus the mean
over the background exactly, whatever the number of pairs.
"""

from __future__ import annotations

import numpy as np

from observability.explain.players import ROWS_AT_ONCE, Players, margins, mixed, player_of
from observability.models.model import Model

SEED = 0
ROUNDS = 2
LEAST_PAIRS = 200


def rounds_for(background_count: int) -> int:
    """How often each background row is visited: a small background more often.

    >>> rounds_for(1000), rounds_for(1)
    (2, 200)
    """
    return max(ROUNDS, -(-LEAST_PAIRS // background_count))


def sampled_values(
    model: Model, background: np.ndarray, players: Players, rows: np.ndarray, rounds: int = ROUNDS
) -> tuple[np.ndarray, np.ndarray]:
    """Shapley values and their standard errors, both `(n_rows, n_players, n_outputs)`.

    Each of at least two `rounds` visits every background row with a pair of its own; the permutations
    are the same for all rows. The errors come from how much rounds differ at a background row.
    """
    chance = np.random.default_rng(SEED)
    orders = chance.permuted(np.tile(np.arange(len(players)), (rounds, len(background), 1)), axis=2)
    at_background, at_rows = margins(model, background), margins(model, rows)
    owner = player_of(players, rows.shape[1])
    step = max(1, ROWS_AT_ONCE // (2 * len(players) * rounds))
    shape = len(rows), len(players), at_rows.shape[-1]
    total, variance = np.zeros(shape), np.zeros(shape)
    for begin in range(0, len(background), step):
        chosen = slice(begin, begin + step)
        pairs = np.stack(
            [
                _pairs(
                    model, background[chosen], order[chosen], owner, rows,
                    at_background[chosen], at_rows,
                )
                for order in orders
            ]
        )  # fmt: skip
        total += pairs.mean(axis=0).sum(axis=1)
        variance += pairs.var(axis=0, ddof=1).sum(axis=1) / rounds
    return total / len(background), np.sqrt(variance) / len(background)


def _pairs(
    model: Model,
    background: np.ndarray,
    order: np.ndarray,
    owner: np.ndarray,
    rows: np.ndarray,
    at_background: np.ndarray,
    at_rows: np.ndarray,
) -> np.ndarray:
    """What each player adds in each pair: `(n_rows, n_background, n_players, n_outputs)`."""
    count = order.shape[1]
    place = np.argsort(order, axis=1)
    steps = np.arange(1, count)[None, :, None]
    coalitions = np.concatenate(
        [place[:, None, :] < steps, place[:, None, :] >= count - steps], axis=1
    )
    between = margins(model, mixed(coalitions[:, :, owner], rows, background))
    first = np.broadcast_to(at_background[None, :, None], (*between.shape[:2], 1, between.shape[3]))
    last = np.broadcast_to(at_rows[:, None, None], first.shape)
    forward = np.diff(np.concatenate([first, between[:, :, : count - 1], last], axis=2), axis=2)
    reverse = np.diff(np.concatenate([first, between[:, :, count - 1 :], last], axis=2), axis=2)
    by_place = (forward + reverse[:, :, ::-1]) / 2
    return np.take_along_axis(by_place, place[None, :, :, None], axis=2)
