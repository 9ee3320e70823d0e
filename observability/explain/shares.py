"""Each gate's and each feature's share of the action: Shapley values through model and gates.

Players are the features and the gates of both sides of the threshold. An absent feature has the value
of a background row, an absent gate lets everything pass; a gate judges the features as they then are.
So of k gates that look at no feature and stop a device each on its own, each gets 1/k.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from observability.explain.players import ROWS_AT_ONCE
from observability.explain.policy import Policy, Side, actions, actions_of, stopped, stops
from observability.models.model import Model
from traces.errors import ModelError

SEED = 0
PAIRS = 100


@dataclass(frozen=True, slots=True)
class Share:
    """What a feature or gate contributed to the action; below 0 where it spoke for another one."""

    name: str
    share: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class Shares:
    """The shares of one action: `base` and all shares sum to 1.

    `base` is how often background rows lead to the action with no gate asked, over the `pairs` rows
    drawn. Features in the model's order, gates in that in which they were asked, below before above.
    """

    action: str
    base: float
    features: tuple[Share, ...]
    gates: tuple[Share, ...]
    pairs: int


def shares(
    model: Model, policy: Policy, row: np.ndarray, background: np.ndarray, pairs: int = PAIRS
) -> Shares:
    """The shares of what the device does with a row `(n_features,)`, against rows `(n, n_features)`.

    Sampled: `pairs` (at least 2) random orders of the players and their reverses, each against one
    background row, seeded. The standard errors are of both draws. Raises ModelError where the model
    has several outputs.
    """
    if model.output_count > 1:
        found = f"a model of {model.output_count} outputs"
        raise ModelError(found, "one score, which a threshold divides")
    gates = _names(policy)
    width = len(row)
    count = width + len(gates)
    chance = np.random.default_rng(SEED)
    drawn = background[_evenly(chance, len(background), pairs)]
    order = chance.permuted(np.tile(np.arange(count), (pairs, 1)), axis=1)
    action = str(actions_of(policy, row[None], model.score(row[None]))[0])
    step = max(1, ROWS_AT_ONCE // (2 * (count + 1)))
    parts = [
        _pairs(model, policy, row, action, drawn[at : at + step], order[at : at + step])
        for at in range(0, pairs, step)
    ]
    gained = np.concatenate([part[0] for part in parts])
    base = np.concatenate([part[1] for part in parts])
    share, error = gained.mean(axis=0), gained.std(axis=0, ddof=1) / np.sqrt(pairs)
    named = [
        Share(name, float(share[at]), float(error[at]))
        for at, name in enumerate([*(feature.name for feature in policy.features), *gates])
    ]
    return Shares(action, float(base.mean()), tuple(named[:width]), tuple(named[width:]), pairs)


def _evenly(chance: np.random.Generator, count: int, wanted: int) -> np.ndarray:
    """`wanted` of `count` rows, none twice as long as there are enough."""
    rounds = -(-wanted // count)
    return np.concatenate([chance.permutation(count) for _ in range(rounds)])[:wanted]


def _pairs(
    model: Model,
    policy: Policy,
    row: np.ndarray,
    action: str,
    background: np.ndarray,
    order: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """What each player adds in each pair `(n_pairs, n_players)`, and the action's base `(n_pairs,)`."""
    count, width = order.shape[1], len(row)
    place = np.argsort(order, axis=1)[:, None, :]
    steps = np.arange(count + 1)[None, :, None]
    present = np.stack([place < steps, place >= count - steps], axis=1)
    rows = np.where(present[..., :width], row, background[:, None, None, :])
    acts = _acts(model, policy, action, rows.reshape(-1, width), present[..., width:])
    acts = acts.reshape(present.shape[:3]).astype(np.float64)
    added = np.diff(acts, axis=2)
    by_place = (added[:, 0] + added[:, 1, ::-1]) / 2
    return np.take_along_axis(by_place, place[:, 0], axis=1), acts[:, 0, 0]


def _acts(
    model: Model, policy: Policy, action: str, rows: np.ndarray, asked: np.ndarray
) -> np.ndarray:
    """Whether each row leads to the action where only some gates are asked."""
    asked, names = asked.reshape(len(rows), -1), _names(policy)

    def stops_it(side: Side) -> np.ndarray:
        mine = [names.index(gate.name) for gate in side.gates]
        return stopped(stops(side, policy.features, rows) & asked[:, mine].T)

    found = actions(policy, model.score(rows), stops_it(policy.below), stops_it(policy.above))
    return np.asarray(found == action)


def _names(policy: Policy) -> list[str]:
    """The gates, each once: one that guards both actions is one player."""
    both = (*policy.below.gates, *policy.above.gates)
    return list(dict.fromkeys(gate.name for gate in both))
