from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from observability.explain.nearest import nearest
from observability.explain.usual import usual_ranges

VALUES = st.floats(-5, 5) | st.just(math.nan)
ROWS = st.lists(st.tuples(VALUES, VALUES, st.integers(0, 3)), max_size=12)
IQRS = np.array([2.0, 0.0, 1.0])
CATEGORICAL = np.array([False, False, True])


def distance(one, two) -> float:
    """What nearest.py says in words, for one pair."""
    squares = []
    for a, b, iqr, categorical in zip(one, two, IQRS, CATEGORICAL, strict=True):
        if a == b or (math.isnan(a) and math.isnan(b)):
            squares.append(0.0)
        elif categorical or iqr == 0 or math.isnan(a) or math.isnan(b):
            squares.append(1.0)
        else:
            squares.append(((a - b) / iqr) ** 2)
    return math.sqrt(math.fsum(squares))


@given(ROWS, st.tuples(VALUES, VALUES, st.integers(0, 3)), st.integers(0, 6))
def test_they_are_the_first_of_all_sorted_by_distance(rows, row, count: int) -> None:
    past = np.array(rows, dtype=float).reshape(len(rows), 3)
    found = nearest(past, np.array(row, dtype=float), IQRS, CATEGORICAL, count)
    expected = sorted((round(distance(each, row), 9), at) for at, each in enumerate(rows))[:count]
    assert found.distances.round(9).tolist() == [apart for apart, _ in expected]
    assert len(set(found.indices.tolist())) == len(expected)
    for at, apart in zip(found.indices, found.distances, strict=True):
        assert math.isclose(distance(rows[at], row), apart, abs_tol=1e-9)


def test_equal_distances_keep_their_order() -> None:
    past = np.tile([1.0, 2.0, 3.0], (9, 1))
    assert nearest(past, past[0], IQRS, CATEGORICAL, 4).indices.tolist() == [0, 1, 2, 3]


def test_usual_ranges_are_the_quantiles_of_what_was_measured() -> None:
    rows = np.column_stack([np.arange(101.0), np.full(101, 7.0), np.full(101, np.nan)])
    rows[0, 1] = np.inf
    varied, still, unknown = usual_ranges(rows)
    assert (varied.low, varied.lower, varied.median, varied.upper, varied.high) == (
        5,
        25,
        50,
        75,
        95,
    )
    assert (varied.iqr, varied.count, varied.holds(95.0), varied.holds(96.0)) == (
        50,
        101,
        True,
        False,
    )
    assert (still.iqr, still.count, still.holds(7.0), still.holds(math.nan)) == (0, 100, True, None)
    assert (unknown.count, unknown.holds(1.0), math.isnan(unknown.iqr)) == (0, None, True)
