"""`whence gates backtest`: what a changed gate would have done to recorded proposals."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import observability
from observability.monitor.backtest import (
    FALSE_BLOCK,
    HARM,
    NEEDED,
    SAME,
    SAVE,
    UNKNOWN,
    Backtest,
    Change,
    Flip,
    backtest,
    finite,
    rule_to_add,
)
from observability.store.read import Window
from traces.gates import short

SHOWN = 20
"""Flips listed as text, the newest first; --json has all."""
_MEANINGS = (SAVE, FALSE_BLOCK, NEEDED, HARM, UNKNOWN, SAME)


def run(arguments: argparse.Namespace) -> int:
    """Replay the store's proposals with one gate changed. Raises WrongUse."""
    change = _change(arguments)
    with observability.connect(arguments.store) as con:
        found = backtest(con, arguments.type, change, Window())
    if arguments.json:
        sys.stdout.write(json.dumps(_as_json(found), ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("\n".join(_lines(found)) + "\n")
    return 0


def _change(arguments: argparse.Namespace) -> Change:
    if arguments.add is not None:
        return Change(arguments.gate, added=rule_to_add(arguments.gate, arguments.add))
    return Change(arguments.gate, None if arguments.drop else finite(arguments.limit))


def _lines(found: Backtest) -> Iterator[str]:
    yield (
        f"{len(found.flips):,} of {found.replayed:,} proposals of {found.decision_type} "
        f"would have gone another way {found.change.words}"
    )
    if found.first_at and found.last_at:
        older = "; older ones were left out" if found.oldest_left_out else ""
        yield f"decided {_utc(found.first_at)} to {_utc(found.last_at)}{older}"
    if found.replayed < found.proposals:
        left = found.proposals - found.replayed
        yield f"{left:,} others cannot be replayed: their records do not tell what it would do"
    yield ""
    yield f"now stopped {found.now_stopped:>9,}: {_counts(found, SAVE, FALSE_BLOCK)}"
    yield f"now act     {found.now_act:>9,}: {_counts(found, NEEDED, HARM)}"
    yield f"unknown     {found.count(UNKNOWN):>9,} of both: no outcome says what was right"
    same = found.count(SAME)
    if same:
        yield f"same act    {same:>9,}: only who stopped or approved it changes"
    unasked = sum(bool(flip.unasked) for flip in found.flips)
    if unasked:
        yield f"not asked   {unasked:>9,} of those that now act met a gate less than usual: it may stop them"
    if found.flips:
        yield ""
        yield from map(_line, found.flips[:SHOWN])
    if len(found.flips) > SHOWN:
        yield f"... and {len(found.flips) - SHOWN:,} older ones; --json lists all"
    yield ""
    yield "Each proposal is replayed alone; what another action would have changed afterwards is not."


def _counts(found: Backtest, *meanings: str) -> str:
    counts = [(found.count(meaning), meaning) for meaning in meanings]
    return ", ".join(f"{count:,} {meaning}{'s' * (count != 1)}" for count, meaning in counts)


def _line(flip: Flip) -> str:
    seen = "" if math.isnan(flip.observed) else f", observed {short(flip.observed)}"
    unasked = f", not asked: {', '.join(flip.unasked)}" if flip.unasked else ""
    return (
        f"{flip.decision_id}  {_utc(flip.decided_at)}  {flip.device_id}  {flip.recommendation} "
        f"{flip.before} -> {flip.after}: {flip.meaning}{seen}{unasked}"
    )


def _as_json(found: Backtest) -> dict[str, object]:
    added = found.change.added
    return {
        "type": found.decision_type,
        "gate": found.change.gate,
        "limit": found.change.limit,
        "added": added and f"{added.input} {added.operator} {short(added.limit)}",
        "proposals": found.proposals,
        "replayed": found.replayed,
        "from": found.first_at and _utc(found.first_at),
        "to": found.last_at and _utc(found.last_at),
        "oldest_left_out": found.oldest_left_out,
        "counts": {meaning: found.count(meaning) for meaning in _MEANINGS},
        "flips": [
            {
                "decision_id": flip.decision_id,
                "device_id": flip.device_id,
                "decided_at": _utc(flip.decided_at),
                "recommendation": flip.recommendation,
                "before": flip.before,
                "after": flip.after,
                "observed": None if math.isnan(flip.observed) else flip.observed,
                "meaning": flip.meaning,
                "unasked": flip.unasked,
            }
            for flip in found.flips
        ],
    }


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
