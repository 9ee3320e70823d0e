"""A model artifact: a file that gives scores, named by the digest of its bytes.

Owns which files count as a model. A pickle never does: loading one runs code that it brings.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from observability.models.lightgbm_text import Link, TextModel, parse
from observability.models.onnx_model import OnnxModel, is_onnx, onnx_model
from traces.errors import ModelError

ARTIFACT = "lightgbm-text"

_FOREIGN: tuple[tuple[tuple[bytes, ...], str], ...] = (
    ((b"\x80",), "a pickle"),
    ((b"\x1f\x8b",), "a gzip file (joblib pickles look so)"),
    ((b"x\x01", b"x\x5e", b"x\x9c", b"x\xda"), "a zlib stream (joblib pickles look so)"),
    ((b"BZh", b"\xfd7zXZ"), "a bzip2 or xz file (joblib pickles look so)"),
    ((b"PK\x03\x04",), "a zip file (torch and skops models look so)"),
    ((b"\x89HDF",), "an HDF5 file"),
    ((b"{",), "JSON"),
)
_SAVE = "save the model as text with Booster.save_model()"
_PICKLES = f"loading a pickle runs code that it brings, so none is ever loaded: {_SAVE}"
_ZERO = 1e-35  # LightGBM's kZeroThreshold


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model. `digest` is `sha256:<64 hex>` of the file; `link` is the unit of its margin."""

    digest: str
    artifact: str
    text: TextModel
    booster: Any = field(repr=False, compare=False)

    @property
    def link(self) -> Link:
        """`logit`: the score is a probability; `identity`: score and margin are the same."""
        return self.text.link

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names that the artifact itself carries, in its order."""
        return self.text.feature_names

    def score(self, rows: np.ndarray) -> np.ndarray:
        """Scores of shape `(n_rows,)` for float64 rows of shape `(n_rows, n_features)`."""
        return np.asarray(self.booster.predict(rows, num_threads=1), dtype=np.float64)

    def margin(self, rows: np.ndarray) -> np.ndarray:
        """Margins of shape `(n_rows,)`, in the unit of `link`."""
        raw = np.asarray(self.booster.predict(rows, raw_score=True, num_threads=1))
        return raw.astype(np.float64) * self.text.scale

    def as_read(self, rows: np.ndarray) -> np.ndarray:
        """The rows as the splits read them: NaN exactly where a split takes its default way.

        A feature trained without missing values reads NaN as 0.0; one trained with zero_as_missing
        reads 0.0 as missing. Other readers of the trees know neither.
        """
        out = np.array(rows, dtype=np.float64)
        for column, kinds in enumerate(self.text.missing):
            if kinds == {"as zero"}:
                out[np.isnan(out[:, column]), column] = 0.0
            elif kinds == {"zero"}:
                out[np.abs(out[:, column]) <= _ZERO, column] = np.nan
        return out


AnyModel = Model | OnnxModel


def load_model(path: Path) -> AnyModel:
    """Load a model file. Raises ModelError where it is no supported LightGBM text or ONNX model."""
    return model_of(read_file(path, "a model file"), str(path))


def model_of(content: bytes, where: str) -> AnyModel:
    """The model that these bytes are; `where` names them in errors. Raises ModelError."""
    if is_onnx(content):
        return onnx_model(content, digest_of(content), where)
    return lightgbm_model(content, where)


def lightgbm_model(content: bytes, where: str) -> Model:
    """The LightGBM model that these bytes are. Raises ModelError."""
    _refuse_foreign(content, where)
    text = parse(content, where)
    import lightgbm

    try:
        booster = lightgbm.Booster(model_str=content.decode("utf-8"))
    except lightgbm.basic.LightGBMError as error:
        found = f"{where}, which LightGBM refuses ({' '.join(str(error).split())})"
        raise ModelError(found, "a LightGBM text model") from error
    return Model(digest_of(content), ARTIFACT, text, booster)


def digest_of(content: bytes) -> str:
    """`sha256:<64 hex>` of the bytes.

    >>> digest_of(b"")[:20]
    'sha256:e3b0c44298fc1'
    """
    return "sha256:" + hashlib.sha256(content).hexdigest()


def read_file(path: Path, expected: str) -> bytes:
    """The bytes of a file. Raises ModelError where there is none that can be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"no file {path}", expected) from None
    except OSError as error:
        raise ModelError(f"{path}, which cannot be read ({error.strerror})", expected) from error


def _refuse_foreign(content: bytes, where: str) -> None:
    if content.startswith(b"tree\n"):
        return
    kind = next((name for magics, name in _FOREIGN if content.startswith(magics)), "another format")
    if content[:1] in (b"(", b"c", b"]", b"}") and content.rstrip().endswith(b"."):
        kind = "a pickle"
    what = kind if content else "an empty file"
    hint = _PICKLES if "pickle" in what or "zip" in what else _SAVE
    raise ModelError(f"{where}, {what}", "a LightGBM text model or ONNX", hint)
