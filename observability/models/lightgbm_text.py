"""The form of a LightGBM text model, read without LightGBM.

LightGBM ends the whole process on many malformed texts, so a text is checked for form here before
LightGBM sees it. Owns the format: header, tree sections, the bits of a node's decision type.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from observability.models.lightgbm_trees import Nodes, trees_of
from observability.models.link import Link
from observability.models.trees import Trees
from traces.errors import ModelError

_LINKS: dict[str, Link] = {
    "binary": "logit",
    "cross_entropy": "logit",
    "regression": "identity",
    "regression_l1": "identity",
    "huber": "identity",
    "fair": "identity",
    "quantile": "identity",
    "mape": "identity",
    "multiclass": "softmax",
    "multiclassova": "logit",
}
_PER_NODE = ("split_feature", "threshold", "decision_type", "left_child", "right_child")
_PER_NODE_MAY = ("split_gain", "internal_value", "internal_weight", "internal_count")
_PER_LEAF_MAY = ("leaf_weight", "leaf_count")
_TREE_KEYS = {"Tree", "num_leaves", "num_cat", "leaf_value", "cat_boundaries", "cat_threshold"}
_TREE_KEYS |= {"is_linear", "shrinkage", "", *_PER_NODE, *_PER_NODE_MAY, *_PER_LEAF_MAY}
_NUMBER = r"-?\d+(\.\d+)?(e[-+]?\d+)?"
_INFO = re.compile(rf"none|\[{_NUMBER}:{_NUMBER}\]|-?\d+(:-?\d+)*")
_MOST_CLASSES = 1000
_SIGMOID = re.compile(rf"sigmoid:{_NUMBER}")
_CLASSES = re.compile(r"num_class:\d+")
_SAVE = "save it with Booster.save_model() of a binary, multiclass or regression model"

Fields = dict[str, str]


@dataclass(frozen=True, slots=True)
class TextModel:
    """What the text states. `scale` times LightGBM's raw score is the margin, in the unit of `link`."""

    link: Link
    scale: float
    feature_names: tuple[str, ...]
    trees: Trees


def parse(content: bytes, where: str) -> TextModel:
    """Read and check the text of a model; `where` names it in errors.

    Raises ModelError where it is malformed, or of a kind that is not supported: ranking, custom or
    non-logit objectives, linear trees.
    """
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        raise _malformed(where, "bytes that are not UTF-8") from None
    start = content.find(b"\nTree=0\n") + 1
    if not start:
        raise _malformed(where, "no tree")
    header = _fields(content[:start], where)
    objective = _supported(header, where)
    names = tuple(header.get("feature_names", "").split(" "))
    if str(len(names) - 1) != header["max_feature_idx"] or not all(names):
        raise _malformed(where, f"{len(names)} feature names")
    infos = header.get("feature_infos", "").split(" ")
    if len(infos) != len(names) or not all(_INFO.fullmatch(info) for info in infos):
        raise _malformed(where, "feature_infos that do not fit")
    sections = _trees(content, start, header.get("tree_sizes", ""), where)
    outputs = int(header["num_class"])
    if len(sections) % outputs:
        raise _malformed(where, f"{len(sections)} trees for {outputs} classes")
    averaged = len(sections) // outputs if "average_output" in header else 1
    scale = _sigmoid(objective, where) / averaged
    nodes = [
        _check_tree(section, len(names), f"{where}, tree {number}")
        for number, section in enumerate(sections)
    ]
    return TextModel(_LINKS[objective[0]], scale, names, trees_of(nodes, outputs, scale))


def _supported(header: Fields, where: str) -> list[str]:
    """The words of a supported objective."""
    for key in ("num_class", "num_tree_per_iteration", "label_index", "max_feature_idx"):
        _integer(header, key, where)
    objective = header.get("objective", "").split() or ["none (a custom one?)"]
    if objective[0] not in _LINKS or "sqrt" in objective:
        raise ModelError(
            f"{where} with objective {' '.join(objective)}", "one of " + ", ".join(_LINKS), _SAVE
        )
    classes, least = header["num_class"], 2 if objective[0].startswith("multiclass") else 1
    if not least <= int(classes) <= (1 if least == 1 else _MOST_CLASSES) or (
        header["num_tree_per_iteration"] != classes
    ):
        raise _malformed(where, f"{classes} classes of objective {objective[0]}")
    return objective


def _sigmoid(objective: list[str], where: str) -> float:
    for word in objective[1:]:
        if _SIGMOID.fullmatch(word) and float(word.removeprefix("sigmoid:")) > 0:
            return float(word.removeprefix("sigmoid:"))
        if objective[0].startswith("multiclass") and _CLASSES.fullmatch(word):
            continue
        raise _malformed(where, f"objective {' '.join(objective)}")
    return 1.0


def _trees(content: bytes, start: int, sizes: str, where: str) -> list[Fields]:
    trees = []
    for number, size in enumerate(_whole(_numbers(sizes, "tree_sizes", where), where).tolist()):
        section = content[start : start + size]
        if not section.startswith(f"Tree={number}\n".encode()) or len(section) != size:
            raise _malformed(where, f"tree {number} not where the header says")
        trees.append(_fields(section, where))
        start += size
    if not trees or not content[start:].lstrip(b"\n").startswith(b"end of trees"):
        raise _malformed(where, "no end of trees where the header says")
    return trees


def _check_tree(tree: Fields, feature_count: int, where: str) -> Nodes:
    """The nodes of one binary tree over known features with constant leaves; else raise."""
    if tree.get("is_linear", "0") != "0":
        raise ModelError(
            f"{where}, a linear tree", "constant leaves", "train with linear_tree=false"
        )
    leaves = _integer(tree, "num_leaves", where)
    nodes = leaves - 1
    columns = {name: _column(tree, name, nodes, where) for name in _PER_NODE}
    leaf_values = _column(tree, "leaf_value", leaves, where)
    unknown = set(tree) - _TREE_KEYS
    if unknown:
        raise _malformed(where, f"an unknown field {min(unknown)!r}")
    _numbers(tree.get("shrinkage", "1"), "shrinkage", where)
    for names, count in ((_PER_NODE_MAY, nodes), (_PER_LEAF_MAY, leaves)):
        for name in names:
            if tree.get(name, "").strip():
                _column(tree, name, count, where)
    features = _whole(columns["split_feature"], where)
    if nodes and not (features.min() >= 0 and features.max() < feature_count):
        raise _malformed(where, "a split over a feature that does not exist")
    _check_children(columns, nodes, leaves, where)
    decisions = _whole(columns["decision_type"], where)
    if nodes and not (decisions.min() >= 0 and decisions.max() < 12):
        raise _malformed(where, "an unknown decision type")
    return Nodes(
        feature=features,
        threshold=columns["threshold"],
        decision=decisions,
        left=columns["left_child"].astype(np.int64),
        right=columns["right_child"].astype(np.int64),
        leaf_value=leaf_values,
        categories=_categories(tree, columns["threshold"][(decisions & 1) == 1], where),
    )


def _check_children(columns: Mapping[str, np.ndarray], nodes: int, leaves: int, where: str) -> None:
    """Each node but the root, and each leaf, hangs below exactly one earlier node."""
    children = _whole(np.concatenate([columns["left_child"], columns["right_child"]]), where)
    parents = np.concatenate([np.arange(nodes), np.arange(nodes)])
    expected = (
        np.concatenate([np.arange(1, nodes), -np.arange(1, leaves + 1)]) if nodes else children
    )
    if not np.array_equal(np.sort(children), np.sort(expected)):
        raise _malformed(where, "nodes that are no tree")
    if (children[children > 0] <= parents[children > 0]).any():
        raise _malformed(where, "a node above its parent")


def _categories(tree: Fields, used: np.ndarray, where: str) -> tuple[np.ndarray, ...]:
    """The 32-bit words of each category set; raise where a split refers to none."""
    count = _integer(tree, "num_cat", where)
    if not count and not used.size:
        return ()
    bounds = _whole(_column(tree, "cat_boundaries", count + 1, where), where)
    words = _whole(_column(tree, "cat_threshold", int(bounds[-1]), where), where, bits=32)
    if bounds[0] != 0 or (np.diff(bounds) <= 0).any() or not np.isin(used, np.arange(count)).all():
        raise _malformed(where, "categories that do not fit")
    return tuple(np.split(words, bounds[1:-1]))


def _fields(section: bytes, where: str) -> Fields:
    """The `key=value` lines of a section, which ends at its first empty line."""
    text = section.decode("utf-8")
    body, _, rest = text.partition("\n\n")
    pairs = [line.partition("=") for line in body.split("\n")]
    found = {key: value for key, _, value in pairs}
    if (
        rest.strip("\n")
        or len(found) != len(pairs)
        or "\r" in text
        or any("=" in v for v in found.values())
    ):
        raise _malformed(where, "lines that are not one `key=value` each")
    return found


def _column(tree: Fields, name: str, count: int, where: str) -> np.ndarray:
    values = _numbers(tree.get(name, ""), name, where, endless=name == "threshold")
    if len(values) != count:
        raise _malformed(where, f"{len(values)} values of {name} instead of {count}")
    return values


def _integer(tree: Fields, name: str, where: str) -> int:
    text = tree.get(name, "")
    if not text.isdecimal():
        raise _malformed(where, f"{name} = {text!r}")
    return int(text)


def _numbers(text: str, name: str, where: str, *, endless: bool = False) -> np.ndarray:
    """The numbers; infinite ones where `endless`: below such a threshold lies all that is not missing."""
    try:
        values = np.array(text.split(), dtype=np.float64)
    except ValueError:
        raise _malformed(where, f"{name} that are not numbers") from None
    if not (endless or np.isfinite(values).all()) or np.isnan(values).any():
        raise _malformed(where, f"{name} that are not finite numbers")
    return values


def _whole(values: np.ndarray, where: str, *, bits: int = 31) -> np.ndarray:
    if values.size and ((values != np.floor(values)) | (np.abs(values) > 2**bits)).any():
        raise _malformed(where, "numbers that are not whole")
    return values.astype(np.int64)


def _malformed(where: str, what: str) -> ModelError:
    return ModelError(f"{where}: {what}", "a whole LightGBM text model", _SAVE)
