"""What each gate and each person did for and against the fleet.

A block of a proposal that was not right is a save, of one that was right a false block; a pass that
let harm through is a harmful pass. store/read_truth.py says what is right. Counts are exact; bounds
say what they can be once the unknown are known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import duckdb

from observability.monitor.estimates import share_bounds
from observability.store import read_gates
from observability.store.read import Window


@dataclass(frozen=True, slots=True)
class Tally:
    """The verdicts of one gate, or of one `person` at it; a person stands for the gate that asked.

    `passed`, of which `modified` with another number, is right, harmful, unknown or `stopped_elsewhere`.
    `blocked` is a save, false, unknown or `overridden`: a person had it carried out all the same.
    `answer_s` is the median time to the answer of a person, over `answered`; NaN where nobody answered.
    """

    decision_type: str
    gate: str
    kind: str
    person: str | None
    judged: int
    passed: int
    modified: int
    blocked: int
    deferred: int
    overridden: int
    saves: int
    false_blocks: int
    right_passes: int
    harmful_passes: int
    unknown_passes: int
    answered: int
    answer_s: float

    @property
    def unknown_blocks(self) -> int:
        """Blocks of which it is not known whether they were right."""
        return self.blocked - self.overridden - self.saves - self.false_blocks

    @property
    def stopped_elsewhere(self) -> int:
        """Passed here, and not carried out."""
        return self.passed - self.right_passes - self.harmful_passes - self.unknown_passes

    @property
    def false_block_bounds(self) -> tuple[float, float]:
        """Between what the share of false blocks lies among those that held."""
        return share_bounds(self.false_blocks, self.saves, self.unknown_blocks)

    @property
    def harm_bounds(self) -> tuple[float, float]:
        """Between what the share of harm lies among the passes that were carried out."""
        return share_bounds(self.harmful_passes, self.right_passes, self.unknown_passes)

    @property
    def override_rate(self) -> float:
        """How often a person said otherwise: of a person than the model, of a rule than its blocks."""
        said_otherwise, of = self.overridden, self.blocked
        if self.kind == "human":
            said_otherwise, of = self.blocked + self.modified, self.passed + self.blocked
        return said_otherwise / of if of else math.nan


@dataclass(frozen=True, slots=True)
class Funnel:
    """The proposals of a type that gates judged, and how many of them went on."""

    decision_type: str
    recommended: int
    passed_rules: int
    actuated: int
    labelled: int


@dataclass(frozen=True, slots=True)
class Scorecard:
    """Gates, people at gates, and the funnels of decision types, over a window."""

    gates: tuple[Tally, ...]
    people: tuple[Tally, ...]
    funnels: tuple[Funnel, ...]


def scorecard(
    con: duckdb.DuckDBPyConnection, window: Window, decision_type: str | None = None
) -> Scorecard:
    """Judge gates and people by what is known of the proposals of a window; no type asks for all."""
    rows = read_gates.counts(con, window, decision_type).iter_rows(named=True)
    tallies = [
        Tally(**{**row, "answer_s": math.nan if row["answer_s"] is None else row["answer_s"]})
        for row in rows
    ]
    funnels = read_gates.funnel(con, window, decision_type).iter_rows(named=True)
    return Scorecard(
        gates=tuple(one for one in tallies if one.person is None),
        people=tuple(one for one in tallies if one.person is not None),
        funnels=tuple(Funnel(**row) for row in funnels),
    )
