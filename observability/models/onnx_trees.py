"""The tree ensembles of ONNX's ai.onnx.ml domain as arrays. Owns what their attributes mean.

Float32 thresholds; a branch on `<` becomes one on `<=` with the next threshold down, one on `>` has its
children changed over.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from observability.models.onnx_graph import attributes
from observability.models.trees import Column, Tree, Trees, below, ensemble
from traces.errors import ModelError

TREE_NODES = ("TreeEnsembleClassifier", "TreeEnsembleRegressor")
_BELOW, _TURNED = {"BRANCH_LT", "BRANCH_GTE"}, {"BRANCH_GT", "BRANCH_GTE"}
_MODES = {"BRANCH_LEQ", "LEAF", *_BELOW, *_TURNED}


def onnx_trees(node: Any, *, last_only: bool) -> Trees:
    """The ensemble of a node, one output for each class or target that its leaves name, or for the last.

    Raises ModelError where it branches on equality or aggregates otherwise than by sum or average.
    """
    given = attributes(node)
    modes = np.array([mode.decode() for mode in given["nodes_modes"]])
    aggregate = given.get("aggregate_function", b"SUM").decode()
    if not set(modes.tolist()) <= _MODES or aggregate not in ("SUM", "AVERAGE"):
        found = f"{aggregate} of {', '.join(sorted(set(modes.tolist())))}"
        raise ModelError(found, "sums of branches by order")
    per = "class" if node.op_type == "TreeEnsembleClassifier" else "target"
    names = np.asarray(given[f"{per}_ids"])
    outputs = np.unique(names)[-1:] if last_only else np.unique(names)
    tree_ids = np.asarray(given["nodes_treeids"])
    values = _values(given, "nodes_values")
    weights = _values(given, f"{per}_weights")
    if aggregate == "AVERAGE":
        weights = weights / len(np.unique(tree_ids))
    features, columns = np.unique(given["nodes_featureids"], return_inverse=True)
    missing = np.asarray(given.get("nodes_missing_value_tracks_true", np.zeros(len(modes))))
    turned = np.isin(modes, list(_TURNED))
    leaf = modes == "LEAF"
    true, false = np.asarray(given["nodes_truenodeids"]), np.asarray(given["nodes_falsenodeids"])
    held = {
        "column": np.where(leaf, -1, columns),
        "threshold": np.where(np.isin(modes, list(_BELOW)), below(values), values),
        "nan_left": missing.astype(bool) ^ turned,
        "left": np.where(turned, false, true),
        "right": np.where(turned, true, false),
    }
    ids = np.asarray(given["nodes_nodeids"])
    given_by = (np.asarray(given[f"{per}_treeids"]), np.asarray(given[f"{per}_nodeids"]))
    trees = [
        _tree(
            held,
            tree_ids == tree,
            ids,
            given_by,
            tree,
            np.where(names == name, weights, 0.0),
            output,
        )
        for tree in np.unique(tree_ids)
        for output, name in enumerate(outputs)
    ]
    base = np.zeros(len(outputs))
    if _has(given, "base_values"):
        base += _values(given, "base_values")[-len(outputs) :]
    return ensemble([Column(int(feature)) for feature in features], trees, base.tolist())


def _tree(
    held: dict[str, np.ndarray],
    mine: np.ndarray,
    ids: np.ndarray,
    given_by: tuple[np.ndarray, np.ndarray],
    tree: int,
    weights: np.ndarray,
    output: int,
) -> Tree:
    """One tree with the weights of one output; node ids become places, the root's is 0."""
    nodes = {name: values[mine] for name, values in held.items()}
    order = np.argsort(ids[mine], kind="stable")
    sorted_ids = ids[mine][order]

    def places(wanted: np.ndarray) -> np.ndarray:
        at = np.minimum(np.searchsorted(sorted_ids, wanted), len(order) - 1)
        return order[at]

    value = np.zeros(len(order))
    of_tree = given_by[0] == tree
    np.add.at(value, places(given_by[1][of_tree]), weights[of_tree])
    left, right = places(nodes["left"]), places(nodes["right"])
    return Tree(nodes["column"], nodes["threshold"], nodes["nan_left"], left, right, value, output)


def _has(given: dict[str, Any], name: str) -> bool:
    return name in given or f"{name}_as_tensor" in given


def _values(given: dict[str, Any], name: str) -> np.ndarray:
    """Numbers that are stated as floats or as a tensor of doubles."""
    if f"{name}_as_tensor" in given:
        import onnx

        return onnx.numpy_helper.to_array(given[f"{name}_as_tensor"]).astype(np.float64)
    return np.asarray(given[name], dtype=np.float64)
