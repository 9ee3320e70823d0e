"""An ONNX artifact: run by onnxruntime as devices run it, and taken apart where its inside is known.

Owns the proof: trees, weights and margins that were read out of a graph are believed only where they
give the artifact's own scores on probes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from observability.models.link import Link, score_of
from observability.models.model import Linear, Model, Scores, as_is, single
from observability.models.onnx_graph import (
    LINEAR_NODES,
    Graph,
    attributes,
    by_feature,
    graph_of,
    linear,
    linear_node,
    score_tensor,
    tail,
)
from observability.models.onnx_trees import TREE_NODES, onnx_trees
from observability.models.trees import Trees
from traces.errors import ModelError

ARTIFACT = "onnx"
_PROBES = 64
_PROOF = 1e-4
"""Allowed difference of a score by the parts from the artifact's, as a share of the larger of 1 and it."""
_ACTIVATIONS: dict[str, Link] = {"Sigmoid": "logit", "Softmax": "softmax"}
_LINKS: dict[bytes, Link] = {b"NONE": "identity", b"LOGISTIC": "logit", b"SOFTMAX": "softmax"}


@dataclass(frozen=True, slots=True)
class _Inside:
    """What a graph may be: margins of rows, and trees or weights over the tensor `source`."""

    link: Link
    margin: Scores
    prepare: Scores = as_is
    trees: Trees | None = None
    linear: Linear | None = None


def is_onnx(content: bytes) -> bool:
    """Whether the bytes begin as an ONNX file does: with its version."""
    return content[:1] == b"\x08"


def onnx_model(content: bytes, digest: str, where: str) -> Model:
    """The model that these bytes are. Raises ModelError where onnxruntime does not take them."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise ModelError(
            f"{where}, an ONNX model", "onnx and onnxruntime", "pip install 'whence[server]'"
        ) from error
    session = _session(content, where)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) > 2 or len(inputs[0].shape) != 2:
        found = f"{where} with {len(inputs)} inputs and {len(outputs)} outputs"
        raise ModelError(found, "one input (rows, features) and a score, after labels if any")
    try:
        graph = graph_of(content)
    except Exception as error:  # protobuf's own kinds
        raise ModelError(f"{where}, which onnx cannot read", "an ONNX model") from error
    names = _names(session, inputs[0].shape[1])
    artifact = _Artifact(graph, where)
    rows = np.random.default_rng(0).normal(size=(_PROBES, len(names)))
    try:
        raw = artifact.tensor(score_tensor(graph))
        probed = raw(rows)
    except Exception as error:  # as many kinds as above
        raise ModelError(f"{where}, which gives no score", "a model of rows of numbers") from error
    binary = probed.shape[1:] == (2,) and bool(np.allclose(probed.sum(axis=1), 1.0, atol=1e-4))
    score = (lambda rows: raw(rows)[:, 1]) if binary else (lambda rows: single(raw(rows)))
    count = 1 if binary or probed.ndim == 1 else probed.shape[1]
    inside = _taken_apart(artifact, score, rows, count == 1) or _Inside("identity", score)
    return Model(
        digest, ARTIFACT, inside.link, names, score, inside.margin, ("onnxruntime",), count,
        inside.trees, inside.linear, inside.prepare, artifact.graph.batch_dependent,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Artifact:
    """A graph, and what errors call it."""

    graph: Graph
    where: str

    def tensor(self, name: str) -> Scores:
        """The function from rows to any tensor of the graph, as float64."""
        import onnx

        model = onnx.ModelProto()
        model.CopyFrom(self.graph.model)
        if name not in [output.name for output in model.graph.output]:
            model.graph.output.append(onnx.ValueInfoProto(name=name))
        session = _session(model.SerializeToString(), self.where)
        taken = session.get_inputs()[0]
        type_ = np.float64 if taken.type == "tensor(double)" else np.float32

        def run(rows: np.ndarray) -> np.ndarray:
            answer = session.run([name], {taken.name: np.asarray(rows, dtype=type_)})[0]
            return np.asarray(answer, dtype=np.float64)

        def one_by_one(rows: np.ndarray) -> np.ndarray:
            return np.concatenate([run(row[None, :]) for row in rows])

        return one_by_one if self.graph.batch_dependent else run


def _taken_apart(
    artifact: _Artifact, score: Scores, rows: np.ndarray, one_output: bool
) -> _Inside | None:
    """The graph's inside if it gives the scores; None where it does not, or has a form unknown here."""
    try:
        inside = _inside(artifact, one_output)
        return inside if inside is not None and _proven(inside, score, rows) else None
    except Exception:  # noqa: BLE001  # onnxruntime's many kinds too: such a model is a black box
        return None


def _inside(artifact: _Artifact, one_output: bool) -> _Inside | None:
    """What the graph looks like from where its score is formed."""
    graph, node = artifact.graph, tail(artifact.graph)
    if node is None:
        return None
    if node.op_type in TREE_NODES or node.op_type in LINEAR_NODES:
        return _of_a_node(artifact, node, one_output)
    if node.op_type not in _ACTIVATIONS:
        found = linear(graph, node.output[0])
        return None if found is None else _over(artifact, "identity", found[0], linear=found[1])
    link, tensor = _ACTIVATIONS[node.op_type], node.input[0]
    found = linear(graph, tensor)
    if found is not None and by_feature(graph, found[0]) and not (link == "softmax" and one_output):
        return _over(artifact, link, found[0], linear=found[1])
    raw = artifact.tensor(tensor)
    if link == "softmax" and one_output:
        return _Inside("logit", lambda rows: raw(rows)[:, 1] - raw(rows)[:, 0])
    return _Inside(link, lambda rows: single(raw(rows)))


def _of_a_node(artifact: _Artifact, node: Any, one_output: bool) -> _Inside | None:
    """What a node of ai.onnx.ml is, which states its own link."""
    link = _LINKS.get(attributes(node).get("post_transform", b"NONE"))
    if link is None:
        return None
    if node.op_type in TREE_NODES:
        trees = onnx_trees(node, last_only=one_output)
        return _over(artifact, link, node.input[0], trees=trees)
    weights = linear_node(node)
    if one_output and len(weights.bias) == 2:
        away = Linear(weights.weights[:, :1], weights.bias[:1])
        towards = Linear(weights.weights[:, 1:], weights.bias[1:])
        if link == "softmax":
            towards = Linear(towards.weights - away.weights, towards.bias - away.bias)
            link = "logit"
        weights = towards
    return _over(artifact, link, node.input[0], linear=weights)


def _over(
    artifact: _Artifact,
    link: Link,
    source: str,
    trees: Trees | None = None,
    linear: Linear | None = None,
) -> _Inside | None:
    """Trees or weights over a tensor that holds the input's features."""
    parts, graph = trees or linear, artifact.graph
    if parts is None or not by_feature(graph, source):
        return None
    prepare = _float32 if source == graph.input_name else artifact.tensor(source)
    return _Inside(link, lambda rows: single(parts.margin(prepare(rows))), prepare, trees, linear)


def _proven(inside: _Inside, score: Scores, rows: np.ndarray) -> bool:
    """Whether the parts give the artifact's scores: at thresholds and missing values too, if trees."""
    if inside.trees is not None:
        rows = _at_thresholds(inside.trees, rows)
    expected, found = score(rows), score_of(inside.margin(rows), inside.link)
    if found.shape != expected.shape:
        return False
    return bool((np.abs(found - expected) <= _PROOF * np.maximum(1.0, np.abs(expected))).all())


def _at_thresholds(trees: Trees, rows: np.ndarray) -> np.ndarray:
    drawn, chance = rows.copy(), np.random.default_rng(0)
    for column, feature in enumerate(trees.owner):
        thresholds = trees.threshold[trees.column == column]
        drawn[:, feature] = chance.choice(thresholds, len(rows)) if len(thresholds) else 0.0
    holes = drawn.copy()
    holes[chance.random(holes.shape) < 0.2] = np.nan
    return np.concatenate([rows, drawn, holes])


def _float32(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows, dtype=np.float32).astype(np.float64)


def _session(content: bytes, where: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises many kinds, of no common base
        said = str(error).splitlines()[0][:200]
        raise ModelError(f"{where}, which onnxruntime refuses ({said})", "an ONNX model") from error


def _names(session: Any, width: object) -> tuple[str, ...]:
    listed = session.get_modelmeta().custom_metadata_map.get("features", "[]")
    names = tuple(str(f["name"]) for f in json.loads(listed))
    if names:
        return names
    return tuple(f"Column_{n}" for n in range(width if isinstance(width, int) else 0))
