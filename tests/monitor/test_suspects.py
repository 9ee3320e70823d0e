"""Recorded values behind an alarm tell a change of unit, and from when to when it lasted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from observability.monitor.quality import UnitChange
from observability.monitor.suspects import Conversion, Seen, conversion, unchanged

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
USUAL = 20 + 2 * np.random.default_rng(3).normal(size=24 * 28)


def seen(values: np.ndarray) -> Seen:
    return Seen(USUAL, values, [START + n * HOUR for n in range(len(values))])


def weather(hours: int, degc: float) -> np.ndarray:
    return degc + 2 * np.random.default_rng(hours).normal(size=hours)


def fahrenheit(celsius: np.ndarray) -> np.ndarray:
    return 1.8 * celsius + 32


@pytest.mark.parametrize("hours", [24, 48, 150])
def test_a_change_of_unit_is_placed_whatever_the_weather_did_before(hours: int) -> None:
    values = [weather(90, 23), fahrenheit(weather(hours, 20)), weather(30, 20)]
    found = conversion(seen(np.concatenate(values)))
    ends = START + (90 + hours) * HOUR
    assert found == Conversion(UnitChange(1.8, 32.0), START + 90 * HOUR, ends)


def test_a_change_of_unit_that_stands_has_no_end() -> None:
    found = conversion(seen(np.concatenate([weather(5, 20), fahrenheit(weather(40, 20))])))
    assert found == Conversion(UnitChange(1.8, 32.0), START + 5 * HOUR, None)


def test_neither_a_shift_nor_a_few_values_are_a_change_of_unit() -> None:
    assert conversion(seen(weather(90, 30))) is None
    assert conversion(seen(fahrenheit(weather(15, 20)))) is None
    assert conversion(seen(np.full(90, np.nan))) is None
    assert conversion(seen(np.zeros(0))) is None


def test_the_longest_stand_still_is_placed() -> None:
    values = weather(90, 20)
    values[10:14], values[40:80] = 20.0, 21.0
    assert unchanged(seen(values)) == (START + 40 * HOUR, START + 80 * HOUR)
