"""Who or what decides otherwise than usual: a person who passes everything, a version that acts more.

Pure functions over the frames of `Fleet`; what is likely a coincidence is left out.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

CHANCE = 0.01
"""What would come about by chance this often, over all versions looked at, is not named."""
FACTOR = 2.0
"""A version acts otherwise when its share is this many times that of the one before, or the inverse."""
RUN = 10
"""A person passes everything after this many passes in a row,"""
AT_ONCE = 0.2
"""if given within this share of the time that the others take (medians)."""
DEVICE_DECISIONS = 50
"""A device is compared once it has decided this often with the version and with those before."""


@dataclass(frozen=True, slots=True)
class PassesAll:
    """A person whose last `run` verdicts at a gate, since then (UTC), were all passes, given at once.

    `others_passed` of `others_judged`: every verdict at that gate outside this run. Times to the
    answer are medians, in seconds.
    """

    person: str
    gate: str
    run: int
    since: datetime
    answer_s: float
    others_passed: int
    others_judged: int
    others_answer_s: float


@dataclass(frozen=True, slots=True)
class ActsOtherwise:
    """A version that recommends `action` in another share than those before it on the same devices.

    `acted` of `decisions` by it; `acted_before` of `decisions_before`; on `agreeing` of `devices`
    the share moved the same way.
    """

    model: str
    action: str
    decisions: int
    acted: int
    decisions_before: int
    acted_before: int
    devices: int
    agreeing: int

    @property
    def factor(self) -> float:
        """Its share over that before; infinite where that was zero."""
        before = self.acted_before / self.decisions_before
        return self.acted / self.decisions / before if before else math.inf


def passing_all(people: pl.DataFrame) -> list[PassesAll]:
    """Persons whose last verdicts all pass, without taking the time that the others take.

    Many passes alone say little: verdicts on one fault follow each other.
    """
    found = []
    for row in people.filter("chosen", pl.col("run") >= RUN).iter_rows(named=True):
        same = people.filter(pl.col("gate") == row["gate"])
        others_s = same.filter(pl.col("person") != row["person"])["answer_s"].to_list()
        if not others_s or row["run_answer_s"] > AT_ONCE * statistics.median(others_s):
            continue
        found.append(
            PassesAll(
                person=row["person"],
                gate=row["gate"],
                run=row["run"],
                since=row["run_since"],
                answer_s=row["run_answer_s"],
                others_passed=sum(same["passed"]) - row["run"],
                others_judged=sum(same["judged"]) - row["run"],
                others_answer_s=statistics.median(others_s),
            )
        )
    return found


def acting_otherwise(versions: pl.DataFrame) -> list[ActsOtherwise]:
    """Versions that ran in the window and act otherwise than those before, by Wilcoxon's signed ranks.

    To act is to recommend other than the type's usual. Decisions of one device depend on each other,
    devices hardly do: so the differences of the devices' shares are ranked, not decisions counted.
    """
    found = []
    for (_, model), runs in versions.group_by("decision_type", "model_name", maintain_order=True):
        by_version = runs.group_by("model_version").agg(
            pl.col("first_at").min(), pl.col("chosen").sum()
        )
        recent = by_version.filter(pl.col("chosen") > 0)
        for row in recent.sort("first_at").iter_rows(named=True):
            earlier = by_version.filter(pl.col("first_at") < row["first_at"])["model_version"]
            name = f"{model} {row['model_version']}"
            one = _compared(name, runs, row["model_version"], earlier, recent.height)
            found += [one] if one is not None else []
    return found


def _compared(
    name: str, runs: pl.DataFrame, version: str, earlier: pl.Series, tried: int
) -> ActsOtherwise | None:
    is_usual = pl.col("recommendation") == _most_frequent(runs)
    own = runs.filter(pl.col("model_version") == version)
    before = runs.filter(pl.col("model_version").is_in(earlier.to_list()))
    pairs = _by_device(own, is_usual).join(
        _by_device(before, is_usual), on="device_id", suffix="_before"
    )
    pairs = pairs.filter(pl.min_horizontal("decisions", "decisions_before") >= DEVICE_DECISIONS)
    acted = own.filter(~is_usual)
    if pairs.is_empty() or acted.is_empty():
        return None
    counts = {name: sum(pairs[name]) for name in pairs.columns if name != "device_id"}
    moved = pairs.select(
        pl.col("acted") / pl.col("decisions") - pl.col("acted_before") / pl.col("decisions_before")
    ).to_series()
    is_more = (
        counts["acted"] * counts["decisions_before"] > counts["acted_before"] * counts["decisions"]
    )
    moved = moved if is_more else -moved
    agreeing = int((moved > 0).sum())
    one = ActsOtherwise(
        name, _most_frequent(acted), devices=pairs.height, agreeing=agreeing, **counts
    )
    unusual = one.factor >= FACTOR or one.factor <= 1 / FACTOR
    return one if unusual and 2 * tried * chance_of(moved) < CHANCE else None


def _by_device(runs: pl.DataFrame, is_usual: pl.Expr) -> pl.DataFrame:
    decisions = pl.col("decisions")
    return runs.group_by("device_id").agg(
        decisions.sum(), decisions.filter(~is_usual).sum().alias("acted")
    )


def _most_frequent(runs: pl.DataFrame) -> str:
    counts = runs.group_by("recommendation").agg(pl.col("decisions").sum())
    return counts.sort("decisions", "recommendation")["recommendation"][-1]


def chance_of(moved: pl.Series) -> float:
    """How likely differences so far above 0 are if each were as likely below it (Wilcoxon, one-sided).

    >>> chance_of(pl.Series([0.1] * 12)), chance_of(pl.Series([-0.1, 0.2, 0.3]))
    (0.000244140625, 0.25)
    """
    from scipy.stats import wilcoxon  # here: it takes a second, and few fleets need it

    result: Any = wilcoxon(moved.to_numpy(), alternative="greater")
    return float(result.pvalue)
