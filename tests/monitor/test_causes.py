"""Whose shift it is sums to the whole, broken data is told from drift, and the first cause is named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from observability.monitor.contribution import (
    Contributions,
    MeanAttribution,
    carriers,
    contributions,
    grouped,
    score_change,
)
from observability.monitor.effect import (
    jensen_shannon,
    kolmogorov_smirnov,
    quantiles,
    wasserstein,
)
from observability.monitor.psi import FLOOR
from observability.monitor.quality import (
    Break,
    Quality,
    UnitChange,
    breaks,
    longest_unchanged,
    plausible,
    unit_change,
)
from observability.monitor.verdict import Signs, Verdict, verdict, whose
from traces.errors import WrongUse

EDGES = np.array([1.0, 2.0, 3.0])
AT = np.linspace(0.05, 0.95, 19)
fleets = arrays(np.int64, (4, 3), elements=st.integers(0, 300))
shares = arrays(np.int64, 4, elements=st.integers(13, 500))
attributions = arrays(np.float64, (5, 3), elements=st.floats(-10, 10))


@given(shares, shares)
def test_effects_are_nothing_of_equal_counts_and_the_same_both_ways(
    one: np.ndarray, other: np.ndarray
) -> None:
    for effect in (jensen_shannon, kolmogorov_smirnov, lambda a, b: wasserstein(a, b, EDGES)):
        assert effect(one, one) == 0
        assert effect(one, other) >= 0
        assert np.isclose(effect(one, other), effect(other, one), atol=1e-9)


def test_effects_of_too_few_values_are_unknown() -> None:
    few, many = np.array([1, 1, 1, 0]), np.array([50, 50, 50, 50])
    assert np.isnan([jensen_shannon(few, many), kolmogorov_smirnov(many, few)]).all()
    assert np.isnan(wasserstein(few, many, EDGES))
    assert np.isnan(quantiles(few, EDGES, 0.0, 4.0, AT)).all()


@given(fleets, fleets)
def test_the_parts_of_the_devices_sum_to_the_fleets_shift(
    usual: np.ndarray, now: np.ndarray
) -> None:
    found = contributions(usual, now)
    expected = 0.0
    if usual.sum() and now.sum():
        p, q = usual.sum(axis=0) / usual.sum(), now.sum(axis=0) / now.sum()
        expected = ((q - p) ** 2 / np.maximum(p, FLOOR)).sum()
    assert np.isclose(found.whole, expected, atol=1e-9)


@given(
    fleets, fleets, st.lists(st.sampled_from(["north", "south", "west"]), min_size=4, max_size=4)
)
def test_the_parts_of_any_grouping_sum_to_the_same(
    usual: np.ndarray, now: np.ndarray, groups: list[str]
) -> None:
    found = contributions(usual, now)
    names, parts = grouped(found, groups)
    assert names == tuple(sorted(set(groups)))
    assert np.isclose(parts.whole, found.whole)
    assert np.isclose(parts.within.sum(), found.within.sum())


@given(fleets)
def test_a_fleet_beside_itself_has_no_parts(counts: np.ndarray) -> None:
    found = contributions(counts, counts)
    assert not found.within.any()
    assert not found.mix.any()


@given(fleets, fleets, st.permutations(range(4)))
def test_the_order_of_devices_does_not_matter(
    usual: np.ndarray, now: np.ndarray, order: list[int]
) -> None:
    one, other = contributions(usual, now), contributions(usual[order], now[order])
    assert np.allclose(one.parts[order], other.parts)


def test_a_fleet_of_no_devices_has_no_shift() -> None:
    found = contributions(np.zeros((0, 3)), np.zeros((0, 3)))
    assert found.whole == 0
    assert len(carriers(found)) == 0


def test_a_device_that_decides_more_is_mix_and_one_that_moved_is_within() -> None:
    usual = np.array([[90, 10], [10, 90]])
    more = contributions(usual, usual * [[3], [1]])
    assert more.within.tolist() == [0, 0]
    assert more.mix.sum() > 0
    moved = contributions(usual, np.array([[90, 10], [60, 40]]))
    assert moved.mix.tolist() == [0, 0]
    assert carriers(moved).tolist() == [1]
    newcomer = contributions(np.array([[50, 50], [0, 0]]), np.array([[50, 50], [100, 0]]))
    assert newcomer.within.tolist() == [0, 0]
    assert newcomer.shares.tolist() == [0, 1]


@given(attributions, attributions)
def test_what_features_add_sums_to_the_change_of_the_score(
    before: np.ndarray, after: np.ndarray
) -> None:
    one, other = (MeanAttribution("sha256:1", 0.5, phi.mean(axis=0)) for phi in (before, after))
    assert np.isclose(score_change(one, other).sum(), other.score - one.score)


def test_attributions_of_two_specs_are_not_compared() -> None:
    one, other = (MeanAttribution(spec, 0.0, np.zeros(2)) for spec in ("sha256:1", "sha256:2"))
    with pytest.raises(WrongUse, match=r"sha256:1 and sha256:2; expected .* one spec; hint"):
        score_change(one, other)


def quality(days: int, **bad: int) -> Quality:
    """One stream of 100 rows a day."""
    names = ("null", "nan", "unchanged", "unknown", "outside")
    return Quality(
        np.full((1, days), 100), **{name: np.full((1, days), bad.get(name, 0)) for name in names}
    )


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        ({"null": 90}, Break.NULL),
        ({"nan": 15}, Break.NAN),
        ({"unchanged": 60}, Break.STUCK),
        ({"unknown": 30}, Break.CATEGORY),
        ({"outside": 12}, Break.RANGE),
    ],
)
def test_each_break_is_told_apart(bad: dict[str, int], kind: Break) -> None:
    found = breaks(quality(28, unchanged=3), quality(2, **bad))
    assert {name for name, days in found.items() if days.all()} == {kind}


def test_what_the_baseline_had_as_well_is_no_break() -> None:
    usual = quality(28, null=40, nan=5, unchanged=50, unknown=3)
    now = quality(2, null=45, nan=14, unchanged=99, unknown=5, outside=9)
    assert not any(days.any() for days in breaks(usual, now).values())


def test_a_run_of_equal_values_and_bounds_of_extreme_values_are_finite_counts() -> None:
    assert longest_unchanged(np.array([])) == 0
    assert longest_unchanged(np.array([np.nan, np.nan, 5.0])) == 1
    assert longest_unchanged(np.full(50, 1e308)) == 50
    assert plausible(-1e308, 1e308) == (-np.inf, np.inf)


def usual_values(seed: int, mean: float = 20.0, spread: float = 4.0) -> np.ndarray:
    return np.quantile(np.random.default_rng(seed).normal(mean, spread, 2000), AT)


@pytest.mark.parametrize(
    ("factor", "offset"),
    [(1.8, 32.0), (1 / 1.8, -32 / 1.8), (1.0, 273.15), (3.6, 0.0), (0.001, 0.0), (14.5038, 0.0)],
)
def test_a_change_of_unit_is_found_with_factor_and_offset(factor: float, offset: float) -> None:
    weather = 0.9 * usual_values(2) + 3.0
    found = unit_change(usual_values(1), factor * weather + offset)
    assert isinstance(found, UnitChange)
    assert np.isclose(found.factor, factor, rtol=0.1)
    assert np.isclose(found.offset, offset, atol=1e-6)


@pytest.mark.parametrize(
    "now",
    [
        usual_values(2),
        usual_values(2) + 4.0,
        usual_values(2) + 15.0,
        usual_values(2) + 48.0,
        2 * usual_values(2) - 20.0,
        1.15 * usual_values(2),
        np.full(19, 71.6),
        np.full(19, 1e308),
        np.full(19, np.nan),
        np.concatenate([usual_values(2)[:-1], [1e6]]),
    ],
)
def test_drift_is_no_change_of_unit(now: np.ndarray) -> None:
    assert unit_change(usual_values(1), now) is None


def test_a_constant_or_boundless_baseline_has_no_unit() -> None:
    assert unit_change(np.full(19, 7.0), usual_values(1)) is None
    boundless = np.append(usual_values(1)[:-1], 1e308)
    assert unit_change(boundless, usual_values(2)) is None


def parts(*within: float) -> Contributions:
    return Contributions(np.array(within), np.zeros(len(within)))


LOCAL, WIDE = parts(0.9, 0.05, 0.05, 0.0, 0.0, 0.0), parts(*[0.1] * 6)
CELSIUS = UnitChange(1.8, 32.0)


@pytest.mark.parametrize(
    ("signs", "named"),
    [
        (Signs({Break.STUCK, Break.RANGE}, CELSIUS, True, 1, LOCAL, True, True), Verdict.BREAK),
        (Signs({Break.RANGE}, None, True, 1, LOCAL), Verdict.BREAK),
        (Signs({Break.RANGE}, CELSIUS, True, 1, LOCAL), Verdict.UNIT),
        (Signs(set(), None, True, 1, LOCAL, True, True), Verdict.DEVICES),
        (Signs(set(), None, False, 1, WIDE), Verdict.DEVICES),
        (Signs(set(), None, False, 6, WIDE), Verdict.FLEET),
        (Signs(set(), None, True, 1, WIDE, True, True), Verdict.FLEET),
        (Signs(set(), None, True, 1, parts(1.0)), Verdict.FLEET),
        (Signs(set(), None, False, 0, LOCAL, True, True), Verdict.ATTRIBUTION),
        (Signs(set(), None, False, 0, LOCAL, False, True), Verdict.CONCEPT),
        (Signs(set(), None, False, 0, LOCAL), Verdict.NONE),
    ],
)
def test_the_first_explanation_that_holds_is_the_verdict(signs: Signs, named: Verdict) -> None:
    assert verdict(signs) == named


def test_few_devices_that_carry_most_are_whose_shift_it_is() -> None:
    assert whose(LOCAL).tolist() == [0]
    assert whose(WIDE).tolist() == []
    assert whose(parts(0.0, 0.0)).tolist() == []
