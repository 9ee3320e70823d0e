"""Evidence grows with a real change, stays away on ordinary days, and says where it cannot know."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.signal import lfilter

from observability.monitor.calibration import Insufficient, calibrate
from observability.monitor.evidence import (
    ALARM,
    LEAST_EFFECT,
    MANY,
    SATURATED,
    Evidence,
    evidence,
    gathered,
    ranked,
    standing,
)
from observability.monitor.matching import same_season

DAYS, VALUES, BINS = 28, 200, 10
EDGES = np.array([-1.28, -0.84, -0.52, -0.25, 0.0, 0.25, 0.52, 0.84, 1.28])
small = settings(max_examples=20, deadline=None)


def binned(values: np.ndarray) -> np.ndarray:
    """Counts `(n_streams, n_days, n_bins)` of values `(n_streams, n_days, n_values)`."""
    bins = np.searchsorted(EDGES, values)
    return np.stack([(bins == n).sum(axis=-1) for n in range(BINS)], axis=-1)


def sensors(streams: int, days: int, phi: float = 0.9, seed: int = 0) -> np.ndarray:
    """Values of sensors that repeat themselves, mean 0 and variance 1."""
    noise = np.random.default_rng(seed).normal(size=(streams, days * VALUES))
    noise[:, 1:] *= np.sqrt(1 - phi**2)
    return lfilter([1.0], [1.0, -phi], noise, axis=1).reshape(streams, days, VALUES)


def of(baseline: np.ndarray, window: np.ndarray, **more: np.ndarray) -> Evidence:
    return evidence(calibrate(baseline, window, np.zeros(len(baseline), dtype=int), **more))


@pytest.fixture(scope="module")
def healthy() -> np.ndarray:
    return sensors(300, DAYS + 30)


@pytest.fixture(scope="module")
def counts(healthy: np.ndarray) -> np.ndarray:
    return binned(healthy)


def test_healthy_sensors_alarm_on_few_days_and_few_ever(counts: np.ndarray) -> None:
    found = of(counts[:, :DAYS], counts[:, DAYS:])
    assert found.alarm.mean() <= 0.005
    assert found.alarm.any(axis=1).mean() <= 0.03
    assert found.e.mean() <= 1.1


def test_a_shift_of_one_standard_deviation_is_found_within_days(healthy: np.ndarray) -> None:
    moved = binned(healthy[:, DAYS:] + 1.0 * (np.arange(30) >= 10)[None, :, None])
    found = of(binned(healthy[:, :DAYS]), moved)
    assert found.alarm[:, 15:].mean() > 0.95
    assert np.median(found.since[:, -1]) == 10


def test_the_order_of_streams_does_not_matter(counts: np.ndarray) -> None:
    order = np.random.default_rng(1).permutation(len(counts))
    one, other = (of(c[:, :DAYS], c[:, DAYS:]) for c in (counts, counts[order]))
    assert np.allclose(one.strength[order], other.strength)
    assert np.array_equal(one.alarm[order], other.alarm)


def test_the_baselines_own_days_again_are_no_change(counts: np.ndarray) -> None:
    found = of(counts[:, :DAYS], counts[:, :DAYS])
    assert not found.alarm.any()
    same = of(counts[:1, :1].repeat(DAYS, axis=1), counts[:1, :1].repeat(5, axis=1))
    assert (same.strength == 1).all()
    assert (same.effect == 0).all()


def test_evidence_ends_some_days_after_its_cause_and_is_forgotten_at_a_release(
    healthy: np.ndarray,
) -> None:
    during = (np.arange(30) >= 5) & (np.arange(30) < 15)
    moved = binned(healthy[:, DAYS:] + 3.0 * during[None, :, None])
    resets = np.arange(30) == 10
    baseline = binned(healthy[:, :DAYS])
    whole, fresh = (
        of(baseline, moved),
        evidence(calibrate(baseline, moved, np.zeros(len(moved), dtype=int)), resets),
    )
    assert whole.alarm[:, 8:15].all()
    assert whole.alarm[:, 25:].mean() <= 0.05
    assert whole.strength.max() == SATURATED * whole.needed
    assert (whole.since[:, 12] < 7).all()
    assert (fresh.since[:, 12] >= 10).all()


def test_many_streams_need_more_evidence_up_to_a_bound(counts: np.ndarray) -> None:
    few, some, many = (counts[np.arange(n) % len(counts)] for n in (20, 300, 900))
    needed = [of(c[:, :DAYS], c[:, DAYS : DAYS + 2]).needed for c in (few, some, many)]
    assert needed == [ALARM, 14 * 300, MANY]


def test_an_alarm_does_not_flicker_on_ordinary_days() -> None:
    strength = np.array([[ALARM, 0.6 * ALARM, 2 * ALARM, 0.4 * ALARM, 0.9 * ALARM]])
    assert standing(strength, ALARM).tolist() == [[True, True, True, False, False]]


def test_a_change_too_small_to_matter_does_not_alarm() -> None:
    usual = np.tile([500_000, 500_000], (1, DAYS, 1)) + np.arange(DAYS)[None, :, None] * [3, -3]
    now = np.tile([510_000, 490_000], (1, 10, 1))
    found = of(usual, now)
    assert found.strength[0, -1] >= ALARM
    assert 0 < found.effect[0, -1] < LEAST_EFFECT
    assert not found.alarm.any()


def test_a_day_with_more_or_fewer_values_is_no_change(counts: np.ndarray) -> None:
    jumped = counts[:, DAYS:].copy()
    jumped[:, 4] += jumped[:, 5]
    jumped[:, 5] = 0
    jumped[:, 8] //= 4
    jumped[:, 9] *= 20
    found = of(counts[:, :DAYS], jumped)
    assert found.alarm.mean() <= 0.005
    assert np.array_equal(found.strength[:, 5], found.strength[:, 4])


def test_hours_that_a_device_did_not_decide_in_are_no_change() -> None:
    chance = np.random.default_rng(3)
    night, day = (
        chance.multinomial(100, [0.9, 0.1], (1, 40)),
        chance.multinomial(100, [0.1, 0.9], (1, 40)),
    )
    by_hour = np.stack([night, day], axis=2)
    half = by_hour[:, DAYS:].copy()
    half[:, :, 0] = 0
    assert of(by_hour[:, :DAYS].sum(axis=2), half.sum(axis=2)).alarm[:, -1].all()
    assert not of(by_hour[:, :DAYS], half).alarm.any()


def test_a_summer_is_compared_with_the_summers_of_other_years() -> None:
    days = np.arange(3 * 365)
    season = np.sin(2 * np.pi * days / 365.25)[None, :, None]
    values = sensors(8, len(days), seed=5) * 0.5 + season
    baseline, window = binned(values[:, :730]), binned(values[:, 730:])
    matches = same_season(days[:730], days[:730]), same_season(days[730:], days[:730])
    matched = of(baseline, window, matches=matches)
    assert matched.alarm.mean() <= 0.005
    warm = binned(values[:, 730:] + 1.5)
    assert of(baseline, warm, matches=matches).alarm[:, 60:].all()


@pytest.mark.parametrize(
    ("baseline", "window", "reason"),
    [
        (np.zeros((DAYS, 4)), np.full((5, 4), 50), Insufficient.NO_VALUES),
        (np.eye(4)[[1] * DAYS] * 200, np.full((5, 4), 50), Insufficient.ONE_BIN),
        (np.full((DAYS, 1), 200), np.full((5, 1), 200), Insufficient.ONE_BIN),
        (np.full((1, 4), 50), np.full((5, 4), 50), Insufficient.FEW_DAYS),
        (np.full((13, 4), 50), np.full((5, 4), 50), Insufficient.FEW_DAYS),
        (np.full((DAYS, 4), [1, 1, 1, 0]), np.full((5, 4), 50), Insufficient.FEW_DAYS),
        (np.full((DAYS, 4), 50), np.full((5, 4), [1, 1, 1, 0]), Insufficient.FEW_VALUES),
        (np.full((DAYS, 4), 50), np.zeros((5, 4)), Insufficient.FEW_VALUES),
        (np.full((DAYS, 4), 50), np.zeros((0, 4)), Insufficient.FEW_VALUES),
    ],
)  # fmt: skip
def test_too_little_is_said_with_its_reason(
    baseline: np.ndarray, window: np.ndarray, reason: Insufficient
) -> None:
    found = of(baseline[None], window[None])
    assert found.insufficient == (reason,)
    assert np.isnan([found.strength, found.effect, found.e]).all()
    assert not found.alarm.any()


def test_no_streams_and_no_days_are_no_evidence() -> None:
    assert of(np.zeros((0, DAYS, 4)), np.zeros((0, 5, 4))).alarm.shape == (0, 5)
    found = of(np.zeros((2, 0, 4)), np.full((2, 5, 4), 50))
    assert found.insufficient == (Insufficient.NO_VALUES,) * 2


def test_a_stream_without_evidence_does_not_touch_the_others(counts: np.ndarray) -> None:
    empty = np.zeros_like(counts[:1])
    alone = of(counts[:, :DAYS], counts[:, DAYS:])
    beside = np.concatenate([empty, counts])
    found = of(beside[:, :DAYS], beside[:, DAYS:])
    assert np.allclose(found.strength[1:], alone.strength)


@pytest.mark.parametrize("glitch", [1e6, 1e308, -1e308])
def test_one_glitch_of_the_baseline_hides_no_later_shift(
    healthy: np.ndarray, glitch: float
) -> None:
    values = healthy[:40].copy()
    values[:, 7, 100] = glitch
    found = of(binned(values[:, :DAYS]), binned(values[:, DAYS:] + 1.0))
    assert found.alarm[:, 10:].mean() > 0.9


def test_ten_thousand_categories_neither_crash_nor_alarm_nor_hide_a_shift() -> None:
    chance = np.random.default_rng(2)
    share = 1 / np.arange(1, 10_001)
    share /= share.sum()
    usual = chance.multinomial(500, share, (4, 42))
    unordered = np.zeros(4, dtype=bool)
    assert not of(usual[:, :DAYS], usual[:, DAYS:], ordered=unordered).alarm.any()
    new = usual[:, DAYS:].copy()
    new[:, :, -1] += 200
    assert of(usual[:, :DAYS], new, ordered=unordered).alarm[:, -1].all()


@small
@given(arrays(np.float64, (3, 8), elements=st.floats(0, 1e6)))
def test_strength_is_never_below_one_nor_beyond_saturation(e: np.ndarray) -> None:
    strength, since = gathered(e, np.zeros(e.shape, bool))
    assert ((strength >= 1) & (strength <= SATURATED * ALARM)).all()
    assert ((since >= 0) == (strength > 1)).all()


@small
@given(st.permutations(range(6)))
def test_e_bh_names_the_same_streams_in_any_order(order: list[int]) -> None:
    e = np.array([900.0, 1.0, 50.0, 0.2, 80.0, np.nan])
    places, named = ranked(e[order])
    assert {order[place] for place in places[:named]} == {0, 2, 4}


def test_weather_that_all_devices_share_is_no_change_of_one_and_hides_none() -> None:
    """Days that repeat each other as weather does: alone a device's shift takes weeks to tell."""
    chance = np.random.default_rng(8)
    weather = lfilter([0.5], [1.0, -0.9], chance.normal(size=(1, 88)), axis=1)[..., None]
    values = sensors(8, 88, seed=9) * 0.3 + weather
    baseline, window = values[:, :58], values[:, 58:]
    assert not of(binned(baseline), binned(window)).alarm.any()
    moved = window + np.eye(8)[0][:, None, None] * 1.0
    found = of(binned(baseline), binned(moved)).alarm
    assert found[0, :5].any()
    assert found[0].mean() > 0.8
    assert not found[1:].any()
