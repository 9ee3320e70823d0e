"""The reference: the frozen population against which attributions are measured.

A Parquet file with the features, and device_id and decided_at where known. Owns its validation and
the choice of the background: the same 1,000 rows, whoever draws them.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from observability.models.artifact import digest_of
from observability.models.features import Feature
from traces.errors import ModelError

BACKGROUND_ROWS = 1_000
BACKGROUND_SEED = 0
DEVICE = "device_id"
TIME = "decided_at"


@dataclass(frozen=True, slots=True)
class Reference:
    """What a reference file holds. `device_count` is 0 and the times are None where it does not say."""

    reference_id: str
    row_count: int
    device_count: int
    first_at: datetime | None
    last_at: datetime | None


def describe(content: bytes, features: Sequence[Feature], where: str) -> Reference:
    """Check a Parquet file's bytes against the features and count what it holds; times UTC.

    Raises ModelError where it is no Parquet, has no rows, lacks a feature or has one of another type.
    """
    frame = _read(content, where)
    if frame.is_empty():
        raise ModelError(f"{where} with no rows", "the inputs of past decisions")
    _check_columns(frame.schema, features, where)
    first, last = None, None
    if TIME in frame.columns:
        utc = frame[TIME].dt.convert_time_zone("UTC")
        first, last = utc.min(), utc.max()
    return Reference(
        reference_id=digest_of(content),
        row_count=frame.height,
        device_count=frame[DEVICE].drop_nulls().n_unique() if DEVICE in frame.columns else 0,
        first_at=first if isinstance(first, datetime) else None,
        last_at=last if isinstance(last, datetime) else None,
    )


def background(content: bytes, features: Sequence[Feature], where: str) -> np.ndarray:
    """The background of a reference, shape `(min(1000, n_rows), n_features)`, in the file's order.

    The same file gives the same rows, on every machine. Raises ModelError as `describe` does.
    """
    frame = _read(content, where)
    _check_columns(frame.schema, features, where)
    if frame.height > BACKGROUND_ROWS:
        chosen = np.random.default_rng(BACKGROUND_SEED).choice(
            frame.height, BACKGROUND_ROWS, replace=False
        )
        frame = frame[np.sort(chosen)]
    return encode(frame, features)


def encode(frame: pl.DataFrame, features: Sequence[Feature]) -> np.ndarray:
    """The model's rows, float64 of shape `(n_rows, n_features)`: levels as their index, null as NaN."""
    columns = [_encoded(frame[feature.name], feature) for feature in features]
    return np.ascontiguousarray(np.column_stack(columns))


def _encoded(column: pl.Series, feature: Feature) -> np.ndarray:
    if feature.levels:
        index = {level: float(number) for number, level in enumerate(feature.levels)}
        column = column.cast(pl.String).replace_strict(index, default=None, return_dtype=pl.Float64)
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _read(content: bytes, where: str) -> pl.DataFrame:
    try:
        return pl.read_parquet(io.BytesIO(content))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ModelError(f"{where}, which is not Parquet", "a Parquet file of inputs") from error


def _check_columns(schema: pl.Schema, features: Sequence[Feature], where: str) -> None:
    missing = [feature.name for feature in features if feature.name not in schema]
    if missing:
        raise ModelError(
            f"{where} without the column {', '.join(missing)}",
            "every feature of the model",
            "columns are named as the features are",
        )
    for feature in features:
        _check_type(feature, schema[feature.name], where)
    if DEVICE in schema and schema[DEVICE] != pl.String:
        raise ModelError(f"{DEVICE} of type {schema[DEVICE]} in {where}", "String")
    time = schema.get(TIME)
    if time is not None and not (isinstance(time, pl.Datetime) and time.time_zone):
        raise ModelError(
            f"{TIME} of type {time} in {where}", "Datetime with a time zone", "write it as UTC"
        )


def _check_type(feature: Feature, type_: pl.DataType, where: str) -> None:
    text = isinstance(type_, pl.String | pl.Categorical | pl.Enum)
    number = type_.is_numeric() or type_ == pl.Boolean
    if feature.levels and not text:
        raise ModelError(
            f"{feature.name} of type {type_} in {where}",
            "String",
            "a categorical's column holds its levels, not their numbers",
        )
    if not feature.levels and not number:
        raise ModelError(f"{feature.name} of type {type_} in {where}", "a number")
