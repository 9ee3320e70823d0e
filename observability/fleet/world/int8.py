"""A perceptron -> a statically quantised int8 ONNX model (QDQ form).

The invariant: every scale is a constant of the artifact, so a score is a function of its row alone,
whatever else is in the batch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from observability.fleet.world.mlp import Mlp, activations
from observability.models.features import Feature

INPUT, OUTPUT = "inputs", "probability"
_OPSET = 17
_IR_VERSION = 9
# 7 bits: products of uint8 and int8 saturate in pairs on processors without VNNI.
_WEIGHT_STEPS = 63


def quantise(
    model: Mlp, calibration: np.ndarray, features: Sequence[Feature], version: str
) -> bytes:
    """The bytes of the model; activations are scaled to what `calibration` rows reach.

    Input `inputs` float32 `(n, n_features)`, output `probability` float32 `(n, 1)`. The features'
    names and units are in its metadata as JSON.
    """
    graph = _Graph()
    graph.constant("mean", model.mean)
    graph.constant("per_deviation", (1 / model.deviation).astype(np.float32))
    graph.node("Sub", [INPUT, "mean"], "centred")
    graph.node("Mul", ["centred", "per_deviation"], "standard")
    current, last = "standard", len(model.weights) - 1
    for layer, reached in enumerate(activations(model, calibration)[:-1]):
        scale = graph.quantised(current, f"input_{layer}", reached)
        current = graph.layer(layer, scale, model.weights[layer], model.biases[layer])
        if layer != last:
            graph.node("Relu", [current], f"relu_{layer}")
            current = f"relu_{layer}"
    graph.node("Sigmoid", [current], OUTPUT)
    return graph.content(features, version)


class _Graph:
    """An ONNX graph as it grows."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def node(self, operation: str, inputs: Sequence[str], output: str) -> None:
        self._nodes.append(helper.make_node(operation, inputs, [output], name=output))

    def constant(self, name: str, value: np.ndarray) -> str:
        self._constants.append(numpy_helper.from_array(value, name))
        return name

    def quantised(self, source: str, name: str, reached: np.ndarray) -> np.float32:
        """Quantise to uint8 and back, as `name`; returns the scale."""
        low, high = min(float(reached.min()), 0.0), max(float(reached.max()), 1e-6)
        scale = np.float32((high - low) / 255)
        zero = np.uint8(np.clip(round(-low / float(scale)), 0, 255))
        constants = [
            self.constant(f"{name}_scale", np.array(scale)),
            self.constant(f"{name}_zero", np.array(zero)),
        ]
        self.node("QuantizeLinear", [source, *constants], f"{name}_q")
        self.node("DequantizeLinear", [f"{name}_q", *constants], name)
        return scale

    def layer(self, at: int, scale: np.float32, weight: np.ndarray, bias: np.ndarray) -> str:
        """A Gemm with int8 weights and an int32 bias; returns its output's name."""
        step = np.float32(np.abs(weight).max() / _WEIGHT_STEPS)
        whole = np.rint(weight / step).astype(np.int8)
        product = np.float32(scale * step)
        self._dequantised(f"weight_{at}", whole, step, np.int8(0))
        self._dequantised(
            f"bias_{at}", np.rint(bias / product).astype(np.int32), product, np.int32(0)
        )
        self.node("Gemm", [f"input_{at}", f"weight_{at}", f"bias_{at}"], f"gemm_{at}")
        return f"gemm_{at}"

    def _dequantised(
        self, name: str, whole: np.ndarray, step: np.float32, zero: np.integer
    ) -> None:
        constants = [
            self.constant(f"{name}_q", whole),
            self.constant(f"{name}_scale", np.array(step)),
            self.constant(f"{name}_zero", np.array(zero)),
        ]
        self.node("DequantizeLinear", constants, name)

    def content(self, features: Sequence[Feature], version: str) -> bytes:
        graph = helper.make_graph(
            self._nodes,
            "valve_throttle",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", len(features)])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", 1])],
            self._constants,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_IR_VERSION,
            producer_name="whence",
        )
        named = [{"name": feature.name, "unit": feature.unit} for feature in features]
        helper.set_model_props(model, {"features": json.dumps(named), "version": version})
        onnx.checker.check_model(model)
        # set_model_props fills a map-like list: serialise it in a fixed order.
        return model.SerializeToString(deterministic=True)
