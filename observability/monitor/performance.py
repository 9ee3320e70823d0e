"""How right proposals were: precision, recall, Brier score and calibration, with what is not known.

Estimates are of mature decisions that were carried out and labelled; bounds take in what was stopped
or never labelled. store/read_truth.py says what a label means. Owns when an estimate is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import duckdb
import polars as pl

from observability.monitor import estimates
from observability.monitor.estimates import Estimate
from observability.store import read_performance
from observability.store.read import Window
from observability.store.read_truth import FEWEST_LABELS, Maturity, maturity

LABELLED_ENOUGH = 0.5
"""Share of labels among what was left alone from which recall is estimated, not only bounded."""
CALIBRATED = 0.05
"""Calibration error up to which an estimate from scores alone is believed."""
CALIBRATION_LABELS = 100
"""Labels from which a calibration error tells something."""


@dataclass(frozen=True, slots=True)
class Slice:
    """The decisions of one version, site, gate or stretch of time (from `start`, UTC), or all.

    `young` of `proposals` are not mature, and counted nowhere else. Of the others `acts` proposed to act:
    `blocked` of these were not carried out, `labelled` were and have a label. `rests` proposed to leave
    it; `labelled_rests` of them have a label.
    """

    name: str
    start: datetime | None
    proposals: int
    young: int
    acts: int
    blocked: int
    labelled: int
    rests: int
    labelled_rests: int
    precision: Estimate
    recall: Estimate
    brier: Estimate

    @property
    def actuated(self) -> int:
        """Proposals to act that were carried out."""
        return self.acts - self.blocked


@dataclass(frozen=True, slots=True)
class Bin:
    """Labelled decisions by score: their mean score, and how many of `n` were needed."""

    score: float
    observed: Estimate

    @property
    def n(self) -> int:
        """Labelled decisions."""
        return self.observed.n


@dataclass(frozen=True, slots=True)
class Calibration:
    """The reliability bins, and their mean distance from the diagonal; NaN where nothing is labelled."""

    bins: tuple[Bin, ...]
    error: float
    labelled: int


@dataclass(frozen=True, slots=True)
class FromScores:
    """Precision and recall expected from scores alone (CBPE), young decisions included.

    Assumes that scores are calibrated and stay so: no concept drift. `doubt` is why not to believe it.
    """

    precision: float
    recall: float
    decisions: int
    doubt: str


@dataclass(frozen=True, slots=True)
class Performance:
    """How right a decision type's proposals were over a window."""

    decision_type: str
    maturity: Maturity
    width: timedelta
    whole: Slice
    versions: tuple[Slice, ...]
    sites: tuple[Slice, ...]
    gates: tuple[Slice, ...]
    over_time: tuple[Slice, ...]
    calibration: Calibration
    from_scores: FromScores
    weighted: Estimate

    @property
    def reason(self) -> str:
        """Why nothing can be estimated; empty where something can."""
        if not self.whole.proposals:
            return "no decision has both a score and a threshold"
        if self.maturity.reason:
            return self.maturity.reason
        return "" if self.whole.acts or self.whole.rests else "no decision of this time is mature"


def performance(
    con: duckdb.DuckDBPyConnection, decision_type: str, window: Window, width: timedelta
) -> Performance:
    """How right a type's proposals were over a window, in stretches of `width`."""
    mature = maturity(con, decision_type)
    rows = read_performance.counts(con, decision_type, window, mature.before, width)
    by_kind = {
        kind: [row for row in rows.iter_rows(named=True) if row["kind"] == kind]
        for kind in ("all", "version", "site", "gate", "start", "bin")
    }
    whole = by_kind["all"][0]
    calibrated = _calibration(by_kind["bin"])
    return Performance(
        decision_type=decision_type,
        maturity=mature,
        width=width,
        whole=_slice(whole),
        versions=tuple(map(_slice, by_kind["version"])),
        sites=tuple(map(_slice, by_kind["site"])),
        gates=tuple(map(_slice, by_kind["gate"])),
        over_time=tuple(map(_slice, by_kind["start"])),
        calibration=calibrated,
        from_scores=_from_scores(whole, calibrated),
        weighted=weighted_precision(
            *read_performance.recorded_probabilities(con, decision_type, window, mature.before)
        ),
    )


def weighted_precision(acts: int, recorded: pl.DataFrame) -> Estimate:
    """Precision over all proposals to act, from those that a randomising gate policy let through.

    `recorded` has actuated, needed (None: not known) and pass_probability of those of the `acts` that
    recorded one. Refused unless each did, and each could pass. Whether a carried-out act is labelled is
    taken to be chance.
    """
    possible = recorded.filter(
        (pl.col("pass_probability") > 0) & (pl.col("pass_probability") <= 1)
    ).height
    if not acts or recorded.height < acts or possible < acts:
        found = f"{recorded.height:,} of {acts:,} proposals recorded one"
        if acts and recorded.height == acts:
            found = f"{acts - possible:,} of {acts:,} proposals could not pass at all"
        reason = f"refused: it needs a recorded pass probability above 0; {found}"
        return Estimate(math.nan, math.nan, math.nan, 0, reason=reason)
    seen = recorded.filter("actuated").drop_nulls("needed")
    return estimates.weighted_share(seen["needed"].to_list(), seen["pass_probability"].to_list())


def _slice(row: Mapping[str, Any]) -> Slice:
    labelled = row["needed_acts"] + row["needless_acts"]
    labelled_rests = row["missed"] + row["right_rests"]
    unknown_acts = row["acts"] - row["acts_known_needed"] - row["acts_known_needless"]
    unknown_rests = row["rests"] - row["rests_known_needed"] - row["rests_known_needless"]
    precise = estimates.share_bounds(
        row["acts_known_needed"], row["acts_known_needless"], unknown_acts
    )
    recalled = estimates.recall_bounds(
        row["acts_known_needed"], row["rests_known_needed"], unknown_acts, unknown_rests
    )
    few = "" if labelled >= FEWEST_LABELS else f"{labelled:,} labels of at least {FEWEST_LABELS}"
    seldom = ""
    if row["rests"] and labelled_rests < LABELLED_ENOUGH * row["rests"]:
        seldom = f"{labelled_rests:,} of {row['rests']:,} that proposed not to act are labelled"
    whole = row["mature_scored"]
    brier_bounds = (
        (row["least_squared_error_sum"] / whole, row["most_squared_error_sum"] / whole)
        if whole
        else (math.nan, math.nan)
    )
    return Slice(
        name=row["name"],
        start=row["start"],
        proposals=row["proposals"],
        young=row["young"],
        acts=row["acts"],
        blocked=row["acts"] - row["acts_actuated"],
        labelled=labelled,
        rests=row["rests"],
        labelled_rests=labelled_rests,
        precision=estimates.share(row["needed_acts"], labelled, precise, few),
        recall=estimates.share(
            row["needed_acts"], row["needed_acts"] + row["missed"], recalled, few or seldom
        ),
        brier=estimates.mean(
            row["squared_error_sum"], row["fourth_power_sum"], row["scored"], brier_bounds, few
        ),
    )


def _calibration(rows: list[dict[str, Any]]) -> Calibration:
    known = [row for row in rows if row["bin"] is not None and row["scored"]]
    nothing = (math.nan, math.nan)
    bins = tuple(
        Bin(
            row["score_sum"] / row["scored"],
            estimates.share(row["scored_needed"], row["scored"], nothing),
        )
        for row in known
    )
    labelled = sum(one.n for one in bins)
    apart = sum(one.n * abs(one.score - one.observed.value) for one in bins)
    return Calibration(bins, apart / labelled if labelled else math.nan, labelled)


def _from_scores(row: Mapping[str, Any], calibrated: Calibration) -> FromScores:
    acts, total = row["any_acts"], row["any_score_sum"]
    doubt = ""
    if calibrated.labelled < CALIBRATION_LABELS:
        doubt = f"{calibrated.labelled:,} labels of at least {CALIBRATION_LABELS} to check the scores by"
    elif calibrated.error > CALIBRATED:
        doubt = f"calibration error {calibrated.error:.3f} of mature labels is over {CALIBRATED}"
    return FromScores(
        precision=row["any_acts_score_sum"] / acts if acts else math.nan,
        recall=row["any_acts_score_sum"] / total if total else math.nan,
        decisions=row["proposals"],
        doubt=doubt if acts else "no score from 0 to 1 at or over the threshold",
    )
