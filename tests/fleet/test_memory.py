"""A device remembers what it did, not what was proposed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from observability.fleet import memory
from observability.fleet.spec import Actions, Context
from traces import Decision, ModelVersion, Recommendation

ACTIONS = Actions(fallback="hold", act="run")
HOUR = 3_600_000_000_000
CONTEXTS = (
    Context("elapsed", "elapsed", unit="hours"),
    Context("since_act", "since_act", unit="hours"),
    Context("since_stop", "since_stop", unit="hours"),
    Context("running", "running", unit="hours"),
    Context("streak", "streak"),
    Context("previous", "previous_action"),
)


def decided(proposed: bool, passed: bool) -> Decision:
    recommended = ACTIONS.act if proposed else ACTIONS.fallback
    blocked = proposed and not passed
    return Decision(
        type="t",
        model=ModelVersion("m", "1", "sha256:0"),
        action=ACTIONS.fallback if blocked else recommended,
        disposition="blocked" if blocked else "executed",
        recommendation=Recommendation(recommended, 0.5, 0.5),
    )


def after(history: list[tuple[bool, bool]]) -> dict:
    """The context of the decision one hour after a history of hourly decisions."""
    remembered = memory.begin(0, ACTIONS)
    for hour, (proposed, passed) in enumerate(history):
        remembered = memory.remember(remembered, decided(proposed, passed), ACTIONS, hour * HOUR)
    return dict(memory.recall(remembered, CONTEXTS, len(history) * HOUR))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=30))
def test_it_says_what_the_whole_history_says(history):
    acts = [proposed and passed for proposed, passed in history]
    now = len(history)
    stops = [at for at in range(1, now) if acts[at - 1] and not acts[at]]
    running = next((back for back in range(now) if not acts[now - 1 - back]), now)
    streak = next((back for back in range(now) if not history[now - 1 - back][0]), now)

    said = after(history)

    assert said["elapsed"] == now
    assert said["since_act"] == now - max((at for at in range(now) if acts[at]), default=0)
    assert said["since_stop"] == now - (stops[-1] if stops else 0)
    assert said["running"] == running
    assert said["streak"] == streak
    assert said["previous"] == ("run" if acts and acts[-1] else "hold")


def test_a_blocked_action_was_not_done():
    assert after([(True, False)])["previous"] == "hold"
    assert after([(True, False)])["streak"] == 1
    assert after([(True, False)])["running"] == 0
