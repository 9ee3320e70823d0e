"""The part of an ONNX graph that says what kind of model it is: its score's source, and its input's.

Owns how a graph is walked. What the walk takes something for is checked against the artifact's own
scores before it is used (onnx_model.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from observability.models.model import Linear

LINEAR_NODES = ("LinearClassifier", "LinearRegressor")
_PASSED = {
    "ZipMap": 0,
    "Identity": 0,
    "Cast": 0,
    "Normalizer": 0,
    "Mul": 0,
    "Reshape": 0,
    "Flatten": 0,
}
_PASSED["Concat"] = -1  # of a probability's complement and itself
_BY_FEATURE = {"Identity", "Cast", "Scaler", "Imputer", "Add", "Sub", "Mul", "Div"}
_OF_THE_BATCH = ("DynamicQuantize", "MatMulIntegerToFloat")


@dataclass(frozen=True, slots=True)
class Graph:
    """An ONNX graph: the node that makes each tensor, and the tensors that are constants."""

    model: Any
    made_by: dict[str, Any]
    constants: dict[str, np.ndarray]

    @property
    def input_name(self) -> str:
        """The one input that is no constant."""
        return next(i.name for i in self.model.graph.input if i.name not in self.constants)

    @property
    def batch_dependent(self) -> bool:
        """Whether activations are scaled by what else is in the batch: then no row has a score of its own."""
        return any(node.op_type.startswith(_OF_THE_BATCH) for node in self.made_by.values())


def graph_of(content: bytes) -> Graph:
    """Read the bytes. Raises what onnx raises where they are no model."""
    import onnx

    model = onnx.load_model_from_string(content)
    constants = {held.name: onnx.numpy_helper.to_array(held) for held in model.graph.initializer}
    made_by = {}
    for node in model.graph.node:
        if node.op_type == "Constant" and "value" in attributes(node):
            constants[node.output[0]] = onnx.numpy_helper.to_array(attributes(node)["value"])
        made_by |= dict.fromkeys(node.output, node)
    return Graph(model, made_by, constants)


def attributes(node: Any) -> dict[str, Any]:
    """The attributes of a node by name."""
    import onnx

    return {held.name: onnx.helper.get_attribute_value(held) for held in node.attribute}


def score_tensor(graph: Graph) -> str:
    """The tensor of the scores: the last output, which follows the labels of a classifier."""
    name = graph.model.graph.output[-1].name
    node = graph.made_by.get(name)
    return node.input[0] if node is not None and node.op_type == "ZipMap" else name


def tail(graph: Graph) -> Any | None:
    """The node in which the score begins to be formed: past what only passes it on."""
    node = graph.made_by.get(score_tensor(graph))
    while node is not None and node.op_type in _PASSED:
        node = graph.made_by.get(node.input[_PASSED[node.op_type]])
    return node


def by_feature(graph: Graph, tensor: str) -> bool:
    """Whether a tensor holds the input's features, each scaled or cast by itself."""
    while tensor != graph.input_name:
        node = graph.made_by.get(tensor)
        if node is None or node.op_type not in _BY_FEATURE:
            return False
        varying = [name for name in node.input if name and name not in graph.constants]
        if len(varying) != 1 or (node.op_type in ("Sub", "Div") and varying[0] != node.input[0]):
            return False
        tensor = varying[0]
    return True


def linear(graph: Graph, tensor: str) -> tuple[str, Linear] | None:
    """The tensor of which this one is a linear function, and the function."""
    bias: Any = 0.0
    node = graph.made_by.get(tensor)
    if node is not None and node.op_type == "Add":
        added = [name for name in node.input if name in graph.constants]
        varying = [name for name in node.input if name not in graph.constants]
        if len(added) != 1:
            return None
        bias, node = graph.constants[added[0]], graph.made_by.get(varying[0])
    if (
        node is None
        or node.op_type not in ("Gemm", "MatMul")
        or node.input[1] not in graph.constants
    ):
        return None
    if any(name not in graph.constants for name in node.input[2:]):
        return None
    given = attributes(node)
    weights = graph.constants[node.input[1]].astype(np.float64)
    weights = given.get("alpha", 1.0) * (weights.T if given.get("transB") else weights)
    if len(node.input) > 2:
        bias = bias + given.get("beta", 1.0) * graph.constants[node.input[2]]
    if weights.ndim != 2 or given.get("transA"):
        return None
    return node.input[0], Linear(weights, np.broadcast_to(np.ravel(bias), weights.shape[1:]) * 1.0)


def linear_node(node: Any) -> Linear:
    """The function of a LinearRegressor or a LinearClassifier, one output for each row of coefficients."""
    given = attributes(node)
    weights = np.array(given["coefficients"], dtype=np.float64)
    count = int(given.get("targets", 1)) if node.op_type == "LinearRegressor" else _classes(given)
    bias: Sequence[float] = given.get("intercepts") or [0.0] * count
    return Linear(weights.reshape(count, -1).T, np.array(bias, dtype=np.float64))


def _classes(given: dict[str, Any]) -> int:
    return len(
        given.get("intercepts") or given.get("classlabels_ints") or given["classlabels_strings"]
    )
