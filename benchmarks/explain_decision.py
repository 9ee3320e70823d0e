"""What one explanation takes, everything that its page shows, at a million decisions in the store.

The store is a replay of the generated engines, copied in SQL to later times with ids that begin with
them, as the recorder's do. Each decision is another one, in a process that has explained before.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import machine

import observability
from observability.explain.alternatives import alternatives, levers
from observability.explain.attributed import attribute_decision
from observability.explain.attribution import warm
from observability.explain.explain import explain
from observability.explain.flip import smallest_flips
from observability.explain.inputs_then import inputs_then
from observability.explain.past import nearest_past
from observability.explain.policy import policy_of
from observability.explain.recorded import recorded
from observability.explain.usual import usual_ranges
from observability.explain.versus import compared
from observability.models.features import encode_row
from observability.models.registry import find
from observability.store import lake
from observability.store.read_chains import place
from observability.store.read_earlier import other_proposal
from observability.store.read_past import own_past
from observability.store.read_rollout import rollout_at
from observability.store.stored import stored_decision
from observability.store.write import Writer

DAYS = 42
_COPIES = f"""
CREATE TEMP TABLE copies AS
SELECT n, to_minutes(n * {DAYS} * 1440 // $copies) AS later FROM range(1, $copies + 1) t(n)
"""  # noqa: S608
_NEW_ID = """
lpad(lower(to_hex(epoch_ms(moved_at))), 12, '0') || left(md5(id || n), 20) || '-' || left(md5(n || id), 16)
"""
_DECISIONS = f"""
INSERT INTO decisions SELECT * EXCLUDE (n, later, moved_at, id) REPLACE (
    {_NEW_ID} AS decision_id, moved_at AS decided_at, received_at + later AS received_at)
FROM (
    SELECT original.*, n, later, decided_at + later AS moved_at, decision_id AS id
    FROM original, copies
)
ORDER BY received_at, decided_at
"""  # noqa: S608
_OUTCOMES = f"""
INSERT INTO outcomes SELECT * EXCLUDE (n, later, moved_at, id) REPLACE (
    {_NEW_ID} AS decision_id, left(md5(span_id || n), 16) AS span_id,
    observed_at + later AS observed_at, received_at + later AS received_at)
FROM (
    SELECT known.*, n, later, decided_at + later AS moved_at, known.decision_id AS id
    FROM known JOIN original USING (decision_id), copies
)
ORDER BY received_at
"""  # noqa: S608


def filled(store: Path, wanted: int) -> int:
    """Fill a new store with at least as many decisions, each with its outcome; returns how many."""
    data = store.parent / "data"
    module = [sys.executable, "-m"]
    sample = [*module, "observability.fleet.sample", "cmapss", str(data)]
    subprocess.run(sample, cwd=machine.ROOT, check=True)
    spec = machine.ROOT / "examples" / "cmapss.yaml"
    replay = ["observability.cli", "replay", str(spec), "--data", str(data), "--store", str(store)]
    subprocess.run([*module, *replay], cwd=machine.ROOT, check=True, stdout=subprocess.DEVNULL)
    with Writer(store) as writer:
        writer.con.execute("CREATE TEMP TABLE original AS FROM decisions")
        writer.con.execute("CREATE TEMP TABLE known AS FROM outcomes")
        count = writer.con.execute("SELECT count(*) FROM original").fetchall()[0][0]
        copies = -(-wanted // count) - 1
        machine.say(f"copying {count:,} decisions {copies} times")
        writer.con.execute(_COPIES, {"copies": copies})
        writer.con.execute(_DECISIONS)
        writer.con.execute(_OUTCOMES)
    return count * (copies + 1)


def decision(folder: Path, wanted: int, rounds: int) -> dict[str, object]:
    """Milliseconds of wall time for one explanation, and for the parts of it that a reader can name."""
    store = folder / "fleet"
    decisions = filled(store, wanted)
    warm()
    with observability.connect(store) as con:
        anywhere, newest = _ids(con, rounds), _ids(con, rounds, newest=True)
        cold = _ms(lambda: _explained(con, store, newest[0]))
        figures: dict[str, object] = {
            "decisions_stored": decisions,
            "decision_cold_ms": round(cold, 1),
            "decision_ms": _median(_ms(lambda i=i: _explained(con, store, i)) for i in anywhere),
            "decision_among_newest_ms": _median(
                _ms(lambda i=i: _explained(con, store, i)) for i in newest[1:]
            ),
        }
        return figures | {f"{name}_ms": ms for name, ms in _parts(con, store, newest[1:]).items()}


def _parts(con: Any, store: Path, ids: list[str]) -> dict[str, float]:
    """The medians of the parts, each on the same decisions."""
    took: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        with lake.reading(con):
            found = work()
        took.setdefault(name, []).append((time.perf_counter() - started) * 1e3)
        return found

    for id_ in ids:
        stored = timed("stored", lambda i=id_: stored_decision(con, i))
        own = timed("own_past", lambda s=stored: own_past(con, s))
        usual = dict(zip(stored.decision.inputs, usual_ranges(own.numbers), strict=True))
        model = timed("model", lambda s=stored: find(con, store, s.decision.model))
        ready = timed("engine", lambda m=model, s=stored, o=own: compared(m, s, o, None, "fleet"))
        given = recorded(stored.decision, model)
        timed("attribution", lambda r=ready, g=given: attribute_decision(r.engine, g))
        timed("drift", lambda m=model, s=stored, o=own: inputs_then(m, s, o))
        other = timed("other_proposal", lambda s=stored, o=own: other_proposal(con, s, o))
        if other is not None:
            explainer, features = ready.engine.explainer, ready.engine.features
            beside = (explainer.model, features, stored, other, usual, ready.background, ready.seen)
            timed("flips_and_shares", lambda b=beside: alternatives(*b))
            policy = policy_of(stored.decision, features, other.decision, other.decision_id)
            row = encode_row(features, stored.decision.inputs, stored.decision.categoricals)[0]
            changed = levers(features, usual, ready.seen)
            flip = (explainer.model, policy, row, changed)
            timed("flip", lambda f=flip: smallest_flips(*f))
        timed("nearest", lambda s=stored, u=usual: nearest_past(con, store, s, u))
        timed("rollout", lambda s=stored: rollout_at(con, s))
        timed("chain", lambda s=stored: place(con, s.device_id, s.decision.chain))
    return {name: _median(each) for name, each in took.items()}


def _explained(con: Any, store: Path, id_: str) -> None:
    with lake.reading(con):
        explain(con, store, id_)


def _ids(con: Any, count: int, *, newest: bool = False) -> list[str]:
    among = "decisions"
    if newest:
        among = "(FROM decisions ORDER BY decided_at DESC LIMIT 50000)"
    query = f"SELECT decision_id FROM {among} ORDER BY hash(decision_id) LIMIT ?"  # noqa: S608
    return [row[0] for row in con.execute(query, [count]).fetchall()]


def _ms(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1e3


def _median(taken: Iterable[float]) -> float:
    return round(statistics.median(taken), 1)
