"""What a device remembers of its own decisions, as context for the next one.

The invariant: it follows what the device did, after the gates, never what the model proposed,
except `streak`, which says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from observability.fleet.spec import UNITS, Actions, Context
from traces import Decision
from traces.decision import Scalar

REMEMBERED = ("elapsed", "since_act", "since_stop", "running", "streak", "previous_action")


@dataclass(frozen=True, slots=True)
class Memory:
    """One device's past; instants in nanoseconds since 1970 UTC."""

    first_ns: int
    previous_action: str
    acted_ns: int
    stopped_ns: int
    started_ns: int | None = None
    streak: int = 0


def begin(now_ns: int, actions: Actions) -> Memory:
    """The memory of a device at its first decision: idle, and nothing done before."""
    return Memory(now_ns, actions.fallback, acted_ns=now_ns, stopped_ns=now_ns)


def recall(memory: Memory, contexts: Sequence[Context], now_ns: int) -> Mapping[str, Scalar]:
    """The context values that come from memory, each in its unit."""
    since = {
        "elapsed": memory.first_ns,
        "since_act": memory.acted_ns,
        "since_stop": memory.stopped_ns,
        "running": now_ns if memory.started_ns is None else memory.started_ns,
    }
    values: dict[str, Scalar] = {}
    for context in contexts:
        if context.of in since:
            values[context.name] = (now_ns - since[context.of]) / (UNITS[context.unit] * 1e9)
        elif context.of == "streak":
            values[context.name] = float(memory.streak)
        elif context.of == "previous_action":
            values[context.name] = memory.previous_action
    return values


def remember(memory: Memory, decision: Decision, actions: Actions, now_ns: int) -> Memory:
    """The memory after a decision."""
    acts = decision.action == actions.act
    stops = not acts and memory.previous_action == actions.act
    proposed = decision.recommendation is not None and decision.recommendation.action == actions.act
    return Memory(
        first_ns=memory.first_ns,
        previous_action=decision.action,
        acted_ns=now_ns if acts else memory.acted_ns,
        stopped_ns=now_ns if stops else memory.stopped_ns,
        started_ns=(memory.started_ns if memory.started_ns is not None else now_ns)
        if acts
        else None,
        streak=memory.streak + 1 if proposed else 0,
    )
