from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from observability.explain.explain import explain
from observability.explain.explanation import Explanation
from observability.explain.input_rows import input_rows
from observability.explain.usual import UsualRange

WIDE = UsualRange(-1e9, -1.0, 0.0, 1.0, 1e9, 40)


@pytest.fixture
def explained(con: Any, plant: Any) -> Explanation:
    found = explain(con, plant.store, plant.ids["executed"])
    assert found is not None
    return found


def test_inputs_come_in_the_order_of_their_push_with_units_and_usual_ranges(
    explained: Explanation,
) -> None:
    rows = input_rows(explained)
    parts = explained.attributions
    assert parts is not None
    assert {row.name for row in rows} == {
        *explained.stored.decision.inputs,
        *explained.stored.decision.categoricals,
    }
    pushed = [abs(row.pushed or 0.0) for row in rows]
    assert pushed == sorted(pushed, reverse=True)
    assert {row.name: row.pushed for row in rows} == dict(
        zip(parts.spec.features, parts.phi, strict=True)
    )
    for row in rows:
        assert row.usual == explained.usual.get(row.name)


def test_a_value_is_placed_beside_what_is_usual(explained: Explanation) -> None:
    name, value = next(iter(explained.stored.decision.inputs.items()))
    below = UsualRange(*[value + step for step in (1.0, 2.0, 3.0, 4.0, 5.0)], 40)
    above = UsualRange(*[value - step for step in (5.0, 4.0, 3.0, 2.0, 1.0)], 40)
    for usual, place in ((WIDE, "usual"), (below, "below"), (above, "above")):
        rows = input_rows(replace(explained, usual={name: usual}))
        assert next(row.place for row in rows if row.name == name) == place
    assert {row.place for row in input_rows(replace(explained, usual={}))} == {"unknown"}


def test_parts_that_do_not_add_up_are_not_shown(explained: Explanation) -> None:
    assert explained.attributions is not None
    broken = replace(explained.attributions, problems=("another model",))
    rows = input_rows(replace(explained, attributions=broken))
    assert {row.pushed for row in rows} == {None}
