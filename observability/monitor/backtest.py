"""What a change of a gate would have done to recorded proposals, one by one.

Each verdict is given again from its own record; the other gates say what they said. Each proposal is
replayed alone: what a changed action would have changed afterwards is not.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import duckdb
import polars as pl

from observability.store import read_gates
from observability.store.read import Window
from traces import Gate, GateVerdict
from traces.decision import Disposition, Verdict
from traces.errors import WrongUse
from traces.gates import disposition, rejudge, short

_ACTS = ("executed", "modified")
SAVE, FALSE_BLOCK, NEEDED, HARM, UNKNOWN, SAME = (
    "save", "false block", "needed act", "harmful act", "unknown", "same act",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """Another `limit` for a gate, in the unit of its input, or a rule `added` under its name.

    With neither the gate is dropped.
    """

    gate: str
    limit: float | None = None
    added: Gate | None = None

    @property
    def words(self) -> str:
        """The change as the end of a sentence."""
        if self.added is not None:
            rule = f"{self.added.input} {self.added.operator} {short(self.added.limit)}"
            return f"with a gate {self.gate} ({rule})"
        if self.limit is None:
            return f"without gate {self.gate}"
        return f"with limit {short(self.limit)} of gate {self.gate}"


@dataclass(frozen=True, slots=True)
class Flip:
    """A proposal that would have gone another way; `decided_at` UTC.

    `observed` is what the gate saw, NaN where nothing. `meaning` tells what became otherwise: a save or
    a false block, a needed or a harmful act, unknown, or the same act in the end. `unasked` are the
    gates that the device asks otherwise and did not here: they might stop it.
    """

    decision_id: str
    device_id: str
    decided_at: datetime
    recommendation: str
    before: str
    after: str
    observed: float
    meaning: str
    unasked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Backtest:
    """What a change does to `replayed` of `proposals`; times UTC, None where there is no proposal.

    Of the others the record does not tell what the change would do. `oldest_left_out` says that there
    are older ones. Flips are the newest first.
    """

    decision_type: str
    change: Change
    proposals: int
    replayed: int
    first_at: datetime | None
    last_at: datetime | None
    oldest_left_out: bool
    flips: tuple[Flip, ...]

    def count(self, meaning: str) -> int:
        """How many flips mean that."""
        return sum(flip.meaning == meaning for flip in self.flips)

    @property
    def now_act(self) -> int:
        """Flips to an act."""
        return sum(flip.after in _ACTS and flip.meaning != SAME for flip in self.flips)

    @property
    def now_stopped(self) -> int:
        """Flips from an act."""
        return sum(flip.after not in _ACTS and flip.meaning != SAME for flip in self.flips)


def rule_to_add(name: str, text: str) -> Gate:
    """The rule that `INPUT OP LIMIT` states. Raises WrongUse.

    >>> rule_to_add("hot", "temperature <= 80")
    Gate(name='hot', input='temperature', operator='<=', limit=80.0, guards=(), otherwise='block')
    """
    parts = text.rsplit(maxsplit=2)
    if len(parts) != 3:
        raise WrongUse(f"rule {text!r}", "INPUT OP LIMIT", "such as --add 'temperature <= 80'")
    return Gate(name, parts[0], parts[1], finite(parts[2]))


def finite(text: str) -> float:
    """A limit as typed. Raises WrongUse where it is no finite number."""
    try:
        limit = float(text)
    except ValueError:
        limit = math.nan
    if not math.isfinite(limit):
        raise WrongUse(f"limit {text!r}", "a finite number, in the unit of the gate's input")
    return limit


def backtest(
    con: duckdb.DuckDBPyConnection, decision_type: str, change: Change, window: Window
) -> Backtest:
    """Replay a window's proposals. Raises WrongUse for a gate that cannot be changed so."""
    added = change.added.input if change.added else ""
    rows = read_gates.replayable(con, decision_type, window, change.gate, added)
    _check(rows, decision_type, change)
    return replayed(rows, decision_type, change)


def replayed(rows: pl.DataFrame, decision_type: str, change: Change) -> Backtest:
    """Replay the rows of `replayable`, the newest first."""
    records = rows.to_dicts()
    usual = _usual_gates(records, change.gate)
    otherwise = _otherwise(row["own"] for row in records)
    flips, told = [], 0
    for row in records:
        verdicts = _verdicts(row, change, otherwise)
        if verdicts is None:
            continue
        told += 1
        after = disposition(verdicts)
        if after != row["disposition"]:
            names = {verdict.name for verdict in verdicts}
            asks = usual[row["device_id"], row["recommendation"]]
            flips.append(_flip(row, change, after, tuple(sorted(asks - names))))
    return Backtest(
        decision_type=decision_type,
        change=change,
        proposals=len(records),
        replayed=told,
        first_at=records[-1]["decided_at"] if records else None,
        last_at=records[0]["decided_at"] if records else None,
        oldest_left_out=len(records) >= read_gates.MOST_REPLAYED,
        flips=tuple(flips),
    )


def _verdicts(
    row: Mapping[str, Any], change: Change, otherwise: Verdict
) -> tuple[GateVerdict, ...] | None:
    """The verdicts under the change; None where the record does not tell them."""
    said = tuple(GateVerdict(**gate) for gate in row["gates"] or ())
    if disposition(said) != row["disposition"]:
        return None
    if change.added is not None:
        return (*said, change.added.judge({change.added.input: row["observed"]}))
    if change.limit is None:
        return tuple(verdict for verdict in said if verdict.name != change.gate)
    if row["own"] is None:
        return said
    own = _again(GateVerdict(**row["own"]), change.limit, otherwise)
    return own and tuple(own if verdict.name == change.gate else verdict for verdict in said)


def _again(own: GateVerdict, limit: float, otherwise: Verdict) -> GateVerdict | None:
    """A verdict with another limit.

    None where its record gives another verdict already, or the limit had a part in what was observed.
    """
    if rejudge(own) != own.verdict or own.input.startswith("tripped("):
        return None
    verdict = rejudge(replace(own, limit=limit))
    if verdict != "pass" and own.verdict == "pass":
        verdict = otherwise if math.isfinite(own.observed) else "block"
    return replace(own, verdict=verdict, limit=limit)


def _otherwise(recorded: Iterable[Mapping[str, Any] | None]) -> Verdict:
    """What the gate says where its rule does not hold: what it mostly said, else block."""
    said = Counter(
        own["verdict"]
        for own in recorded
        if own and own["verdict"] != "pass" and math.isfinite(own["observed"])
    )
    return said.most_common(1)[0][0] if said else "block"


def _usual_gates(
    records: Sequence[Mapping[str, Any]], but: str
) -> Mapping[tuple[str, str], set[str]]:
    """The gates that each device asks about each action, but for the changed one."""
    usual: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for row in records:
        names = {gate["name"] for gate in row["gates"] or ()}
        usual[row["device_id"], row["recommendation"]] |= names - {but}
    return usual


def _flip(
    row: Mapping[str, Any], change: Change, after: Disposition, unasked: tuple[str, ...]
) -> Flip:
    own = row["observed"] if change.added else (row["own"] or {}).get("observed")
    acts = after in _ACTS
    return Flip(
        decision_id=row["decision_id"],
        device_id=row["device_id"],
        decided_at=row["decided_at"],
        recommendation=row["recommendation"],
        before=row["disposition"],
        after=after,
        observed=math.nan if own is None else own,
        meaning=_meaning(row["actuated"], acts, row["right"]),
        unasked=unasked if acts else (),
    )


def _meaning(acted: bool, acts: bool, right: bool | None) -> str:
    if acted == acts:
        return SAME
    if right is None:
        return UNKNOWN
    if acts:
        return NEEDED if right else HARM
    return FALSE_BLOCK if right else SAVE


def _check(rows: pl.DataFrame, decision_type: str, change: Change) -> None:
    """Raise WrongUse where the change cannot be meant of what was recorded."""
    if rows.is_empty():
        raise WrongUse(
            f"no proposal of {decision_type!r} with gates or a threshold",
            "a decision type of this store that has some in this time",
            "`whence sql 'SELECT DISTINCT decision_type FROM decisions'` lists the types",
        )
    names = {gate["name"] for gates in rows["gates"].drop_nulls() for gate in gates}
    if change.added is not None:
        _check_added(rows, decision_type, change.added, names)
        return
    own = [row for row in rows["own"] if row is not None]
    if not own:
        said = f"one of {', '.join(sorted(names))}" if names else "a type whose gates were recorded"
        raise WrongUse(f"no gate {change.gate!r} of {decision_type}", said)
    fixed = any(row["kind"] != "rule" or " in [" in row["input"] for row in own)
    rules = {(row["operator"], _measured(row["input"])) for row in own if row["operator"]}
    if change.limit is not None and (fixed or len(rules) != 1):
        raise WrongUse(
            f"gate {change.gate!r}, which has no single rule `input operator limit`",
            "a rule with a limit",
            "--drop replays any gate",
        )


def _measured(input_: str) -> str:
    """What a rule looks at, whether or not it had tripped before."""
    return input_[len("tripped(") : -1] if input_.startswith("tripped(") else input_


def _check_added(rows: pl.DataFrame, decision_type: str, added: Gate, names: set[str]) -> None:
    if added.name in names:
        raise WrongUse(
            f"gate {added.name!r}, which {decision_type} has already", "a new name", "or --limit"
        )
    if rows["observed"].null_count() == rows.height:
        raise WrongUse(
            f"{added.input!r}, of which {decision_type} recorded no number",
            "an input or a numeric context value by its name",
            "`whence explain ID` shows what was recorded",
        )
