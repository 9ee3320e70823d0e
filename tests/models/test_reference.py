from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from observability.models.artifact import digest_of
from observability.models.features import Feature
from observability.models.reference import background, describe
from traces.errors import ModelError

FEATURES = (Feature("t"), Feature("mode", levels=("eco", "max")))
INVALID = Path(__file__).parents[1] / "invalid"
AT = datetime(2024, 5, 1, 12, tzinfo=UTC)


def parquet(**columns: object) -> bytes:
    sink = io.BytesIO()
    pl.DataFrame(columns).write_parquet(sink)
    return sink.getvalue()


def test_a_reference_tells_its_rows_devices_and_window_in_utc() -> None:
    local = pl.Series([AT, AT.replace(hour=14)]).dt.convert_time_zone("Europe/Vienna")
    content = parquet(t=[1.0, 2.0], mode=["eco", "max"], device_id=["a", "a"], decided_at=local)
    held = describe(content, FEATURES, "reference")
    assert (held.row_count, held.device_count) == (2, 1)
    assert (held.first_at, held.last_at) == (AT, AT.replace(hour=14))
    assert held.reference_id == digest_of(content)


def test_a_reference_without_device_and_time_says_so() -> None:
    held = describe(parquet(t=[1.0], mode=["eco"]), FEATURES, "reference")
    assert (held.device_count, held.first_at, held.last_at) == (0, None, None)


def test_levels_enter_as_their_index_and_what_is_missing_as_nan() -> None:
    content = parquet(t=[1, None, 3], mode=["max", "unheard of", None])
    np.testing.assert_array_equal(
        background(content, FEATURES, "reference"), [[1, 1], [np.nan, np.nan], [3, np.nan]]
    )


def test_the_background_is_the_same_thousand_rows_each_time() -> None:
    content = parquet(t=np.arange(5000.0), mode=["eco"] * 5000)
    first = background(content, FEATURES, "reference")
    assert first.shape == (1000, 2)
    assert len(set(first[:, 0])) == 1000
    np.testing.assert_array_equal(first, background(content, FEATURES, "reference"))


def test_a_small_reference_is_its_own_background() -> None:
    assert background(parquet(t=[1.0, 2.0], mode=["eco", "eco"]), FEATURES, "r").shape == (2, 2)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ((INVALID / "model_reference_no_parquet.parquet").read_bytes(), "which is not Parquet"),
        (
            parquet(t=pl.Series([], dtype=pl.Float64), mode=pl.Series([], dtype=pl.String)),
            "with no rows",
        ),
        (parquet(mode=["eco"]), "without the column t"),
        (parquet(t=["warm"], mode=["eco"]), "t of type String"),
        (parquet(t=[1.0], mode=[0]), "holds its levels, not their numbers"),
        (parquet(t=[1.0], mode=["eco"], device_id=[7]), "device_id of type Int64"),
        (parquet(t=[1.0], mode=["eco"], decided_at=[AT.replace(tzinfo=None)]), "write it as UTC"),
    ],
)
def test_a_file_that_is_no_reference_of_the_model_is_refused(content: bytes, found: str) -> None:
    with pytest.raises(ModelError, match=found):
        describe(content, FEATURES, "reference")
