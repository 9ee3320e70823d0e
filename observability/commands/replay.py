"""`whence replay`: a recorded data set as a fleet."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from observability.fleet.replay import Replayed, replay
from observability.fleet.spec import load
from observability.store.location import Location


def run(arguments: argparse.Namespace) -> int:
    """Replay a spec and print what happened. Raises SpecError, WrongUse, StoreError or ShipmentError."""
    store: Location = arguments.store
    done = replay(
        load(Path(arguments.spec)),
        Path(arguments.data),
        store=store,
        endpoint=arguments.endpoint,
        limit=arguments.limit,
    )
    sys.stdout.write(
        _as_json(done) if arguments.json else _as_text(done, store, arguments.endpoint)
    )
    return 0


def _as_json(done: Replayed) -> str:
    first, last = done.window
    values = dataclasses.asdict(done) | {
        "window": [first.isoformat(), last.isoformat()],
        "spans_per_s": done.spans_per_s,
        "decisions_per_s": done.decisions_per_s,
    }
    return json.dumps(values, ensure_ascii=False) + "\n"


def _as_text(done: Replayed, store: Location, endpoint: str | None) -> str:
    first, last = done.window
    dispositions = ", ".join(f"{count:,} {name}" for name, count in done.dispositions.items())
    gates = (
        ", ".join(f"{name} {count:,}" for name, count in done.blocked_by.items() if count) or "none"
    )
    facts = {
        "decisions": f"{done.decisions:,} of {done.decision_type}, {dispositions}",
        "devices": f"{done.devices:,}",
        "window": f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC, recorded time",
        "blocked by": gates,
        "outcomes": f"{done.outcomes:,}",
        "model": f"{done.model.name} {done.model.version}, {done.model.digest[:19]}",
        "speed": f"{done.decisions_per_s:,.0f} decisions/s, {done.spans_per_s:,.0f} spans/s",
        "took": f"{done.wall_s:.1f} s, {done.wall_s - done.replay_s:.1f} s of it reading and training",
        "open it": f"whence serve {store.arguments}" if not endpoint else f"sent to {endpoint}",
    }
    if not done.model_registered:
        facts["note"] = "the model is registered nowhere: give the receiver's --store too"
    return "".join(f"{name:<11}{value}\n" for name, value in facts.items())
