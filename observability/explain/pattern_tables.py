"""Exact interventional Shapley values of tree ensembles, looked up: a row's value depends on few bits.

Whether a row meets the conditions on a path, feature by feature, decides all that a leaf gives it
(WOODELF, AAAI 2026); so that is computed once for each pattern of those bits, against the whole
background, and added up over the leaves of a subtree.

Owns the tables and how they are read. What is compiled here calls nothing outside this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from observability.collect.scan.compiled import compiled
from observability.explain.subtrees import MOST_FEATURES, Layout, layout
from observability.models.trees import Trees

MOST_BYTES = 512 << 20
"""Of all tables of an ensemble."""
_BLOCK = 1024


@dataclass(frozen=True, slots=True)
class Tables:
    """`values` holds, for each subtree, 2^bits values for each of its slots, at `layout.table_start`."""

    layout: Layout
    values: np.ndarray


class _Splits(NamedTuple):
    """The splits of all trees; those of tree t are among the nodes from `first[t]` to `end[t]`."""

    column: np.ndarray
    threshold: np.ndarray
    nan_left: np.ndarray
    first: np.ndarray
    end: np.ndarray


def pattern_tables(trees: Trees, background: np.ndarray) -> Tables | None:
    """The tables against background rows `(n, n_features)`; None where they would be too large."""
    plan = layout(trees)
    if plan is None or plan.table_start[-1] * 8 > MOST_BYTES:
        return None
    values = np.zeros(plan.table_start[-1])
    _fill(_splits(trees), plan, _weights(), trees.read(background), values)
    return Tables(plan, values)


def tabled_values(trees: Trees, tables: Tables, rows: np.ndarray) -> np.ndarray:
    """Shapley values `(n_outputs, n_features, n_rows)` of float64 rows `(n_rows, n_features)`."""
    phi = np.zeros((len(trees.base), rows.shape[1], len(rows)))
    _look_up(_splits(trees), tables.layout, tables.values, trees.output, trees.read(rows), phi)
    return phi


def _splits(trees: Trees) -> _Splits:
    end = np.append(trees.root[1:], len(trees.column))
    return _Splits(trees.column, trees.threshold, trees.nan_left, trees.root, end)


def _weights() -> np.ndarray:
    """`[a, b]`: (a - 1)! b! / (a + b)!, what each of a players gets of a leaf that b others would close."""
    table = np.zeros((MOST_FEATURES + 1, MOST_FEATURES + 1))
    for a in range(1, MOST_FEATURES + 1):
        share = 1.0 / a
        for b in range(MOST_FEATURES + 1 - a):
            table[a, b] = share
            share *= (b + 1) / (a + b + 1)
    return table


@compiled
def _judge(splits: _Splits, tree: int, seen: np.ndarray, lefts: np.ndarray) -> None:
    """Whether each row goes left, at each split of one tree: `lefts[node of the tree, row]`."""
    first = splits.first[tree]
    for node in range(first, splits.end[tree]):
        if splits.column[node] < 0:
            continue
        x, limit, out = seen[splits.column[node]], splits.threshold[node], lefts[node - first]
        if splits.nan_left[node]:
            for i in range(len(x)):
                out[i] = not x[i] > limit
        else:
            for i in range(len(x)):
                out[i] = x[i] <= limit


@compiled
def _patterns(
    plan: Layout, subtree: int, first: int, lefts: np.ndarray, holds: np.ndarray, found: np.ndarray
) -> None:
    """The pattern of each row for one subtree, of a tree whose first node is given."""
    found[:] = 0
    begin, end, bit = plan.term_start[subtree], plan.term_start[subtree + 1], plan.term_bit
    for term in range(begin, end):
        left, right = lefts[plan.term_node[term] - first], plan.term_right[term]
        if term == begin or bit[term] != bit[term - 1]:
            for i in range(len(found)):
                holds[i] = left[i] ^ right
        else:
            for i in range(len(found)):
                holds[i] &= left[i] ^ right
        if term + 1 == end or bit[term] != bit[term + 1]:
            shift = np.uint16(bit[term])
            for i in range(len(found)):
                found[i] |= np.uint16(holds[i]) << shift


@compiled
def _look_up(
    splits: _Splits, plan: Layout, values: np.ndarray, output: np.ndarray, seen: np.ndarray,
    phi: np.ndarray,
) -> None:  # fmt: skip
    """Add to `phi` `(n_outputs, n_features, n_rows)`, block by block, what the tables say of each row."""
    rows = seen.shape[1]
    lefts = np.empty(((splits.end - splits.first).max(), _BLOCK), np.uint8)
    holds, pattern = np.empty(_BLOCK, np.uint8), np.empty(_BLOCK, np.uint16)
    for begin in range(0, rows, _BLOCK):
        stop = min(begin + _BLOCK, rows)
        found = pattern[: stop - begin]
        for tree in range(len(splits.first)):
            _judge(splits, tree, seen[:, begin:stop], lefts)
            for s in range(plan.tree_start[tree], plan.tree_start[tree + 1]):
                _patterns(plan, s, splits.first[tree], lefts, holds, found)
                at, size = plan.table_start[s], 1 << plan.bits[s]
                for slot in range(plan.slot_start[s], plan.slot_start[s + 1]):
                    table = values[at : at + size]
                    out = phi[output[tree], plan.slot_feature[slot], begin:stop]
                    for i in range(len(found)):
                        out[i] += table[found[i]]
                    at += size


@compiled
def _fill(
    splits: _Splits, plan: Layout, weights: np.ndarray, seen: np.ndarray, values: np.ndarray
) -> None:
    """Fill the tables: how often each pattern is met in the background, then leaf by leaf."""
    rows = seen.shape[1]
    lefts = np.empty(((splits.end - splits.first).max(), rows), np.uint8)
    holds, pattern = np.empty(rows, np.uint8), np.empty(rows, np.uint16)
    for tree in range(len(splits.first)):
        _judge(splits, tree, seen, lefts)
        for s in range(plan.tree_start[tree], plan.tree_start[tree + 1]):
            _patterns(plan, s, splits.first[tree], lefts, holds, pattern)
            often = np.zeros(1 << plan.bits[s])
            for row in range(rows):
                often[pattern[row]] += 1.0 / rows
            table = values[plan.table_start[s] : plan.table_start[s + 1]]
            for leaf in range(plan.leaf_start[s], plan.leaf_start[s + 1]):
                _add_leaf(plan, leaf, often, weights, table)


@compiled
def _add_leaf(
    plan: Layout, leaf: int, often: np.ndarray, weights: np.ndarray, table: np.ndarray
) -> None:
    """Add what one leaf gives to each slot, for each pattern of its subtree."""
    first, players = plan.part_start[leaf], plan.part_start[leaf + 1] - plan.part_start[leaf]
    size = len(often)
    own = np.zeros(size, np.int64)
    met = np.zeros(1 << players)
    for pattern in range(size):
        for j in range(players):
            own[pattern] |= (
                (pattern & plan.part_mask[first + j]) == plan.part_want[first + j]
            ) << j
        met[own[pattern]] += often[pattern]
    given = _given(plan.leaf_value[leaf], players, met, weights)
    for j in range(players):
        at = plan.part_slot[first + j] * size
        for pattern in range(size):
            table[at + pattern] += given[own[pattern], j]


@compiled
def _given(value: float, players: int, met: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """What a leaf gives to each player, for each set `p` of players whose conditions the row meets.

    A background row that meets those of `q` reaches the leaf by mixing iff p and q are all players
    together; then those of p alone open it, b others would close it. `met[q]` is how often.
    """
    full = (1 << players) - 1
    given = np.zeros((full + 1, players))
    for p in range(full + 1):
        others = full & ~p
        b = _ones(others)
        both = p
        while True:
            share = value * met[others | both]
            alone = p & ~both
            a = _ones(alone)
            if share != 0.0 and a + b > 0:
                for j in range(players):
                    if alone >> j & 1:
                        given[p, j] += share * weights[a, b]
                    elif others >> j & 1:
                        given[p, j] -= share * weights[b, a]
            if both == 0:
                break
            both = (both - 1) & p
    return given


@compiled
def _ones(bits: int) -> int:
    count = 0
    while bits:
        bits &= bits - 1
        count += 1
    return count
