"""A model artifact: a file that gives scores, named by the digest of its bytes.

Owns which files count as a model. A pickle never does: loading one runs code that it brings.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from observability.models.lightgbm_text import parse
from observability.models.link import score_of
from observability.models.model import Model, single
from observability.models.onnx_model import is_onnx, onnx_model
from observability.models.xgboost_model import is_xgboost, xgboost_trees
from traces.errors import ModelError

_FOREIGN: tuple[tuple[tuple[bytes, ...], str], ...] = (
    ((b"\x80",), "a pickle"),
    ((b"\x1f\x8b",), "a gzip file (joblib pickles look so)"),
    ((b"x\x01", b"x\x5e", b"x\x9c", b"x\xda"), "a zlib stream (joblib pickles look so)"),
    ((b"BZh", b"\xfd7zXZ"), "a bzip2 or xz file (joblib pickles look so)"),
    ((b"PK\x03\x04",), "a zip file (torch and skops models look so)"),
    ((b"\x89HDF",), "an HDF5 file"),
)
_FORMS = "a LightGBM text model, XGBoost JSON or UBJ, or ONNX"
_SAVE = "save LightGBM as text, XGBoost as JSON or UBJ, others as ONNX"
_PICKLES = f"loading a pickle runs code that it brings, so none is ever loaded: {_SAVE}"


def load_model(path: Path) -> Model:
    """Load a model file. Raises ModelError where it is no model of a supported form."""
    return model_of(read_file(path, "a model file"), str(path))


def model_of(content: bytes, where: str) -> Model:
    """The model that these bytes are; `where` names it in errors. Raises ModelError."""
    digest = digest_of(content)
    if is_onnx(content):
        return onnx_model(content, digest, where)
    if is_xgboost(content):
        return _xgboost_model(content, digest, where)
    _refuse_foreign(content, where)
    return _lightgbm_model(content, digest, where)


def _lightgbm_model(content: bytes, digest: str, where: str) -> Model:
    text = parse(content, where)
    import lightgbm

    try:
        booster = lightgbm.Booster(model_str=content.decode("utf-8"))
    except lightgbm.basic.LightGBMError as error:
        found = f"{where}, which LightGBM refuses ({' '.join(str(error).split())})"
        raise ModelError(found, "a LightGBM text model") from error

    def score(rows: np.ndarray) -> np.ndarray:
        return np.asarray(booster.predict(rows, num_threads=1), dtype=np.float64)

    def margin(rows: np.ndarray) -> np.ndarray:
        raw = np.asarray(booster.predict(rows, raw_score=True, num_threads=1))
        return raw.astype(np.float64) * text.scale

    return Model(
        digest, "lightgbm-text", text.link, text.feature_names, score, margin,
        runtime=("lightgbm",), output_count=len(text.trees.base), trees=text.trees,
    )  # fmt: skip


def _xgboost_model(content: bytes, digest: str, where: str) -> Model:
    names, link, trees = xgboost_trees(content, where)

    def score(rows: np.ndarray) -> np.ndarray:
        return single(score_of(trees.margin_float32(rows), link).astype(np.float64))

    def margin(rows: np.ndarray) -> np.ndarray:
        return single(trees.margin(rows))

    return Model(
        digest, "xgboost", link, names, score, margin, output_count=len(trees.base), trees=trees
    )


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
    raise ModelError(f"{where}, {what}", _FORMS, hint)
