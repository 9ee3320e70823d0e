"""The subtrees of an ensemble that share one pattern table each, and what the bits of a pattern mean.

Owns the choice of subtrees and the layout of a pattern: first a bit for each feature on the path to the
subtree (all its conditions hold there), then one for each split inside (the row goes left).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from observability.models.trees import Trees

MOST_FEATURES = 12
"""Distinct features on a path: the table of a single leaf has 2^12 patterns at most."""
MERGED_SPLITS = 4
MERGED_BITS = 10

Path = tuple[tuple[int, bool], ...]
"""The splits above a node, each with whether the way to it goes right."""


@dataclass(frozen=True, slots=True)
class Subtree:
    """A subtree at `node`, the splits on the way there and the splits inside."""

    tree: int
    node: int
    path: Path
    splits: tuple[int, ...]


class Layout(NamedTuple):
    """The subtrees as flat arrays, for compiled code.

    Of each kind, those of subtree s are from `x_start[s]` to `x_start[s + 1]`; subtrees of tree t from
    `tree_start[t]` on, parts of leaf l from `part_start[l]` on. A term says that bit `term_bit` needs
    the row to go right (`term_right`) or left at `term_node`. `slot_feature` are the features to which
    a subtree gives anything; each has 2^`bits` values in its table, which is at `table_start`. A leaf
    gives `leaf_value`; the feature of `part_slot` meets its conditions where the pattern masked by
    `part_mask` is `part_want`.
    """

    tree_start: np.ndarray
    bits: np.ndarray
    term_start: np.ndarray
    term_node: np.ndarray
    term_right: np.ndarray
    term_bit: np.ndarray
    slot_start: np.ndarray
    slot_feature: np.ndarray
    leaf_start: np.ndarray
    leaf_value: np.ndarray
    part_start: np.ndarray
    part_slot: np.ndarray
    part_mask: np.ndarray
    part_want: np.ndarray
    table_start: np.ndarray


def layout(trees: Trees) -> Layout | None:
    """How the ensemble is laid out in tables; None where a path has more than 12 features."""
    nodes = _Nodes(trees)
    counts = np.zeros(len(trees.root) + 1, dtype=np.int64)
    bits, terms, slots, leaves, parts = [], [], [], [], []
    starts = {name: [0] for name in ("term", "slot", "leaf", "part")}
    for tree, root in enumerate(trees.root.tolist()):
        for subtree in _subtrees(nodes, tree, root):
            features = nodes.features(subtree.path)
            if len(features) > MOST_FEATURES:
                return None
            counts[tree + 1] += 1
            bits.append(len(features) + len(subtree.splits))
            terms += _terms(nodes, subtree, features)
            inside = dict.fromkeys([*features, *(nodes.owner[node] for node in subtree.splits)])
            places = {feature: slot for slot, feature in enumerate(inside)}
            slots += inside
            for node, path in nodes.leaves(subtree.node):
                leaves.append(nodes.value[node])
                parts += _parts(nodes, subtree, path, features, places)
                starts["part"].append(len(parts))
            for name, held in (("term", terms), ("slot", slots), ("leaf", leaves)):
                starts[name].append(len(held))
    term, part = (np.array(held, dtype=np.int64).reshape(-1, 3) for held in (terms, parts))
    start = {name: np.array(held) for name, held in starts.items()}
    widths = np.array(bits)
    return Layout(
        tree_start=np.cumsum(counts), bits=widths,
        term_start=start["term"], term_node=term[:, 0], term_right=term[:, 1].astype(np.uint8),
        term_bit=term[:, 2],
        slot_start=start["slot"], slot_feature=np.array(slots, dtype=np.int64),
        leaf_start=start["leaf"], leaf_value=np.array(leaves, dtype=np.float64),
        part_start=start["part"], part_slot=part[:, 0], part_mask=part[:, 1], part_want=part[:, 2],
        table_start=np.concatenate([[0], np.cumsum(np.diff(start["slot"]) << widths)]),
    )  # fmt: skip


class _Nodes:
    """The nodes as plain lists, which Python reads faster than arrays."""

    def __init__(self, trees: Trees) -> None:
        owner = trees.owner.tolist()
        self.owner = [owner[column] if column >= 0 else -1 for column in trees.column.tolist()]
        self.left, self.right = trees.left.tolist(), trees.right.tolist()
        self.value = trees.value.tolist()

    def features(self, path: Path) -> list[int]:
        """The distinct features that are asked on a path, the topmost first."""
        return list(dict.fromkeys(self.owner[node] for node, _ in path))

    def splits(self, top: int, most: int) -> tuple[int, ...]:
        """The splits at and below a node, in the order of a walk; no more than `most` + 1 of them."""
        found, waiting = [], [top]
        while waiting and len(found) <= most:
            node = waiting.pop()
            if self.owner[node] >= 0:
                found.append(node)
                waiting += (self.right[node], self.left[node])
        return tuple(found)

    def leaves(self, top: int) -> Iterator[tuple[int, Path]]:
        """The leaves at and below a node, each with its path from there."""
        waiting: list[tuple[int, Path]] = [(top, ())]
        while waiting:
            node, path = waiting.pop()
            if self.owner[node] < 0:
                yield node, path
            else:
                waiting.append((self.right[node], (*path, (node, True))))
                waiting.append((self.left[node], (*path, (node, False))))


def _subtrees(nodes: _Nodes, tree: int, root: int) -> Iterator[Subtree]:
    waiting: list[tuple[int, Path]] = [(root, ())]
    while waiting:
        node, path = waiting.pop()
        splits = nodes.splits(node, MERGED_SPLITS)
        bits = len(nodes.features(path)) + len(splits)
        if splits and (len(splits) > MERGED_SPLITS or bits > MERGED_BITS):
            waiting.append((nodes.right[node], (*path, (node, True))))
            waiting.append((nodes.left[node], (*path, (node, False))))
        else:
            yield Subtree(tree, node, path, splits)


def _terms(nodes: _Nodes, subtree: Subtree, features: list[int]) -> list[tuple[int, bool, int]]:
    """Node, side and bit of each condition, in the order of the bits."""
    place = {feature: bit for bit, feature in enumerate(features)}
    above = [(node, right, place[nodes.owner[node]]) for node, right in subtree.path]
    within = [(node, False, len(features) + at) for at, node in enumerate(subtree.splits)]
    return sorted(above, key=lambda term: term[2]) + within


def _parts(
    nodes: _Nodes, subtree: Subtree, path: Path, features: list[int], slots: dict[int, int]
) -> list[tuple[int, int, int]]:
    """Slot, mask and wanted bits of each player of a leaf: `path` leads to it from the subtree's top."""
    parts = {feature: (1 << bit, 1 << bit) for bit, feature in enumerate(features)}
    for node, right in path:
        bit = 1 << (len(features) + subtree.splits.index(node))
        mask, want = parts.get(nodes.owner[node], (0, 0))
        parts[nodes.owner[node]] = (mask | bit, want if right else want | bit)
    return [(slots[feature], mask, want) for feature, (mask, want) in parts.items()]
