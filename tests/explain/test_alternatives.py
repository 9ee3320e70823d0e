"""What people can change, and within what."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from observability.explain.alternatives import alternatives
from observability.explain.usual import usual_ranges
from observability.store.stored import StoredDecision
from tests.deciding import FEATURES, decided, drawn, trained

ROWS = drawn(5, 200)
AT = datetime(2026, 1, 1, tzinfo=UTC)


def held(row: np.ndarray, name: str) -> StoredDecision:
    made = decided(trained("lightgbm", 0), row)
    return StoredDecision("pump-07", name, AT, AT, "unverified", "otlp", made, ())


def changed(**what: object):
    """The changes of the smallest flip of a decision, with features declared otherwise."""
    model = trained("lightgbm", 0)
    scores = model.score(ROWS)
    features = [replace(one, **what) if not one.levels else one for one in FEATURES]
    here, other = held(ROWS[scores.argmax()], "a"), held(ROWS[scores.argmin()], "b")
    usual = dict(zip(here.decision.inputs, usual_ranges(ROWS[:, :4]), strict=True))
    found = alternatives(model, features, here, other, usual, ROWS, ROWS)
    return found.flips.one.changes if found.flips.one else ()


def test_only_what_people_can_change_is_changed() -> None:
    assert changed()[0].feature.startswith("x")
    assert [change.feature for change in changed(actionable=False)] in ([], ["mode"])


def test_a_stated_range_wins_over_what_was_seen() -> None:
    (free,) = changed()
    closed = changed(low=free.before - 1e-9, high=free.before + 1e-9)
    assert [change.feature for change in closed] in ([], ["mode"])
    (within,) = changed(low=-50.0, high=50.0)
    assert within.after == pytest.approx(free.after)
