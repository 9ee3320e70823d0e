"""The inputs of one decision, each beside what is usual for its device and with what it pushed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from observability.explain.explanation import Explanation
from observability.explain.usual import UsualRange

Place = Literal["below", "usual", "above", "not recorded", "unknown"]


@dataclass(frozen=True, slots=True)
class InputRow:
    """One input beside the device's usual range; `pushed` is its attribution in link units, None: unknown."""

    name: str
    value: float | str
    unit: str
    usual: UsualRange | None
    place: Place
    pushed: float | None


def input_rows(explanation: Explanation) -> tuple[InputRow, ...]:
    """The recorded inputs, the strongest attribution first, else in the model's order."""
    decision, parts = explanation.stored.decision, explanation.attributions
    named = () if parts is None else zip(parts.spec.features, parts.units, parts.phi, strict=True)
    of_model = {name: (unit, phi) for name, unit, phi in named}
    shown = parts is not None and parts.adds_up
    rows = []
    for name, value in (*decision.inputs.items(), *decision.categoricals.items()):
        unit, phi = of_model.get(name, ("", None))
        usual = explanation.usual.get(name)
        usual = usual if usual and usual.count else None
        rows.append(
            InputRow(name, value, unit, usual, _place(value, usual), phi if shown else None)
        )
    return tuple(sorted(rows, key=lambda row: -abs(row.pushed or 0.0)))


def _place(value: float | str, usual: UsualRange | None) -> Place:
    if isinstance(value, str):
        return "unknown"
    if not math.isfinite(value):
        return "not recorded"
    if usual is None:
        return "unknown"
    if value < usual.low:
        return "below"
    return "above" if value > usual.high else "usual"
