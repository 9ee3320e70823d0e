"""An ONNX artifact whose one output is a probability: loaded to be run and checked.

It is registered and watched; attributions for it are not computed yet, and explanations say so.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from traces.errors import ModelError

ARTIFACT = "onnx"


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """A loaded ONNX model. `feature_names` are its metadata's, or Column_0 on where it has none."""

    digest: str
    feature_names: tuple[str, ...]
    session: Any = field(repr=False, compare=False)
    artifact: str = ARTIFACT
    link: str = "logit"

    def score(self, rows: np.ndarray) -> np.ndarray:
        """Probabilities of shape `(n_rows,)` for rows of shape `(n_rows, n_features)`."""
        name = self.session.get_inputs()[0].name
        answer = self.session.run(None, {name: np.asarray(rows, dtype=np.float32)})[0]
        return np.asarray(answer, dtype=np.float64).reshape(len(rows))


def is_onnx(content: bytes) -> bool:
    """Whether the bytes begin as an ONNX file does: with its version."""
    return content[:1] == b"\x08"


def onnx_model(content: bytes, digest: str, where: str) -> OnnxModel:
    """The model that these bytes are. Raises ModelError where onnxruntime does not take them."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(
            f"{where}, an ONNX model", "onnxruntime", "pip install 'whence[onnx]'"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises many kinds, of no common base
        said = str(error).splitlines()[0][:200]
        raise ModelError(f"{where}, which onnxruntime refuses ({said})", "an ONNX model") from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1 or len(inputs[0].shape) != 2:
        found = f"{where} with {len(inputs)} inputs and {len(outputs)} outputs"
        raise ModelError(found, "one input (rows, features) and one output, a probability")
    return OnnxModel(digest, _names(session, inputs[0].shape[1]), session)


def _names(session: Any, width: object) -> tuple[str, ...]:
    listed = session.get_modelmeta().custom_metadata_map.get("features", "[]")
    names = tuple(str(f["name"]) for f in json.loads(listed))
    if names:
        return names
    return tuple(f"Column_{n}" for n in range(width if isinstance(width, int) else 0))
