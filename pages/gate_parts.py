"""The parts of the gates page: its answer, the scorecard's tables and the backtest's controls."""

from __future__ import annotations

import math
from collections.abc import Sequence

import streamlit as st

from observability.monitor.backtest import (
    FALSE_BLOCK,
    HARM,
    NEEDED,
    SAME,
    SAVE,
    UNKNOWN,
    Backtest,
    Change,
)
from observability.monitor.scorecard import Scorecard, Tally
from observability.store.read_gates import Measured, Rule
from pages import components
from pages.format import count, days, duration, many, number, of, plain, share
from traces import Gate

TYPE, GATE, HOW, INPUT, OPERATOR = (
    "gates_type", "gates_gate", "gates_how", "gates_input", "gates_operator",
)  # fmt: skip
LIMIT, DROPPED, ADDED = "another limit", "without a gate", "one rule more"
_NAME = "added"
_PEOPLE = 15
_ORDERED = ("<", "<=", ">", ">=")
_STEPS = 50
MEANING = (
    "An outcome's value of 0.5 or more says that acting was needed, below that it was not; a validated "
    "outcome counts before others, then the newest. **Save**: blocked, and not needed. **False block**: "
    "blocked, and needed. **Harmful pass**: carried out, and not needed. **Unknown**: no outcome, or none "
    "yet. Ranges are what a share can be, whatever the unknown turn out to be."
)


def answer(gates: Sequence[Tally]) -> str:
    """What the gate that blocked most did, and how much of it is known; gates of one type."""
    top = max(gates, key=lambda one: one.blocked)
    if not top.blocked:
        judged = max(one.judged for one in gates)
        return f"No gate blocked any of {many(judged, 'proposal')} of {top.decision_type}"
    return (
        f"Gate {top.gate} blocked {of(top.blocked, top.judged)} proposals of {top.decision_type}: "
        f"{count(top.false_blocks)} known to be wrong, {count(top.saves)} known to be right, "
        f"{count(top.unknown_blocks)} unknown"
    )


def type_control(card: Scorecard) -> str:
    """The decision type that is shown: the chosen one, else that of the gate that blocked most."""
    names = [one.decision_type for one in card.funnels]
    usual = max(card.gates, key=lambda one: one.blocked).decision_type
    if st.session_state.get(TYPE) not in (None, *names):
        del st.session_state[TYPE]
    chosen = st.selectbox(
        "Decision type", names, index=None, key=TYPE, bind="query-params", placeholder=usual,
        width=320,
    )  # fmt: skip
    return chosen or usual


def gate_table(gates: Sequence[Tally]) -> None:
    """The gates of a type, those that blocked most first."""
    components.section("Gates", "shares with what they can be once the unknown are known")
    components.wide_listing(
        [
            {
                "Gate": one.gate + (" (person)" if one.kind == "human" else ""),
                "Blocked": _part(one.blocked, one.judged),
                **_known(one),
                "Blocks overridden": "–"
                if one.kind == "human"
                else _part(one.overridden, one.blocked),
            }
            for one in gates
        ],
        alt="Scorecard of gates",
        key="gates_scorecard",
    )


def people_table(people: Sequence[Tally]) -> None:
    """The people who were asked, those asked most often first."""
    if not people:
        return
    most = f"the {_PEOPLE} asked most of {count(len(people))}" if len(people) > _PEOPLE else ""
    components.section("People", most or "by how often each was asked")
    components.wide_listing(
        [
            {
                "Person": one.person or "",
                "At gate": one.gate,
                "Answered": of(one.passed + one.blocked, one.judged),
                "Overrode the model": _part(one.blocked + one.modified, one.passed + one.blocked),
                **_known(one),
                "Answer, median": "–" if math.isnan(one.answer_s) else duration(one.answer_s),
            }
            for one in sorted(people, key=lambda one: -one.judged)[:_PEOPLE]
        ],
        alt="Scorecard of people",
        key="gates_people",
    )


def how_control(rules: Sequence[Rule]) -> str:
    """Whether a limit is changed, a gate dropped or a rule added; where only people judge, added."""
    if not rules:
        return ADDED
    st.segmented_control(
        "Change", (LIMIT, DROPPED, ADDED), key=HOW, default=LIMIT, required=True, bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    return str(st.session_state[HOW])


def change_control(rules: Sequence[Rule]) -> Change:
    """Which gate is changed or dropped, and its limit."""
    with st.grid(2, min_column_width=200, gap="small"):
        names = [rule.gate for rule in rules]
        chosen = _picked(GATE, "Gate", names)
        rule = next(rule for rule in rules if rule.gate == chosen)
        if st.session_state[HOW] == DROPPED:
            return Change(rule.gate)
        if not (rule.adjustable and rule.operator in _ORDERED and 0 < _range_of(rule) < math.inf):
            st.caption("It has no limit to slide, so it is left out.")
            return Change(rule.gate)
        return Change(rule.gate, _limit_control(rule, f"Last recorded limit: {number(rule.limit)}"))


def added_control(measured: Sequence[Measured]) -> Change | None:
    """The rule to add, which passes all at first; None where nothing was recorded that it could look at."""
    if not measured:
        return None
    with st.grid(3, min_column_width=200, gap="small"):
        chosen = _picked(INPUT, "Input", [one.name for one in measured])
        of_ = next(one for one in measured if one.name == chosen)
        st.segmented_control(
            "Passes while it is", ("<=", ">="), key=OPERATOR, default="<=", required=True,
            bind="query-params",
        )  # fmt: skip
        operator = str(st.session_state[OPERATOR])
        passes_all = of_.high if operator == "<=" else of_.low
        rule = Rule("", _NAME, of_.name, operator, passes_all, of_.low, of_.high, of_.values, True)
        limit = _limit_control(rule, f"Of the newest {many(of_.values, 'value')}")
        return Change(_NAME, added=Gate(_NAME, of_.name, operator, limit))


def backtest(found: Backtest) -> None:
    """What the change would have done, in words."""
    st.markdown(f"**{plain(_changed(found))}**")
    when = f"Decided {days(found.first_at, found.last_at)}."
    if not found.flips:
        st.caption(f"{when} Slide the limit to see what would.")
        return
    stopped = f"{_count(found, SAVE)}, {_count(found, FALSE_BLOCK)}"
    acting = f"{_count(found, NEEDED)}, {_count(found, HARM)}"
    lines = [
        f"{count(found.now_stopped)} would be stopped ({stopped}); "
        f"{count(found.now_act)} would act ({acting}); "
        f"of both, {count(found.count(UNKNOWN))} unknown: no outcome says what was right."
    ]
    if found.count(SAME):
        lines.append(f"{count(found.count(SAME))} more end in the same act.")
    unasked = [flip for flip in found.flips if flip.unasked]
    if unasked:
        names = ", ".join(sorted({name for flip in unasked for name in flip.unasked}))
        lines.append(
            f"Of those that would act, {count(len(unasked))} were never put to {names}, "
            "which might have stopped them."
        )
    left = found.proposals - found.replayed
    if left:
        lines.append(f"{count(left)} others cannot be replayed from their records.")
    older = " Older ones are left out." if found.oldest_left_out else ""
    lines.append(
        f"{when}{older} Each is replayed alone: what "
        "another action would have changed afterwards is not."
    )
    st.caption(plain(" ".join(lines)))


def _range_of(rule: Rule) -> float:
    """How far apart the values lie between which its limit can slide; NaN where none was observed."""
    return max(rule.high, rule.limit) - min(rule.low, rule.limit)


def _picked(key: str, label: str, names: Sequence[str]) -> str:
    """The chosen name, else the first."""
    if st.session_state.get(key) not in (None, *names):
        del st.session_state[key]
    chosen = st.selectbox(
        label, names, index=None, key=key, bind="query-params", placeholder=names[0]
    )
    return chosen or names[0]


def _limit_control(rule: Rule, basis: str) -> float:
    low, high = min(rule.low, rule.limit), max(rule.high, rule.limit)
    step = 10.0 ** math.floor(math.log10(_range_of(rule) / _STEPS))
    decimals = max(0, -round(math.log10(step)))
    return st.slider(
        f"Limit: passes while {plain(rule.input)} {plain(rule.operator)} …",
        min_value=min(low, math.floor(low / step) * step),
        max_value=max(high, math.ceil(high / step) * step),
        value=float(rule.limit),
        step=step,
        format=f"%.{decimals}f",
        key=f"gates_limit_{rule.decision_type}_{rule.gate}_{rule.input}_{rule.operator}",
        help=f"{basis}; values seen: {number(rule.low)} to {number(rule.high)}.",
    )


def _changed(found: Backtest) -> str:
    return (
        f"{of(len(found.flips), found.replayed)} proposals would have gone another way "
        f"{found.change.words}"
    )


def _count(found: Backtest, meaning: str) -> str:
    return many(found.count(meaning), meaning)


def _known(one: Tally) -> dict[str, str]:
    acted = one.right_passes + one.harmful_passes + one.unknown_passes
    return {
        "Saves": count(one.saves),
        "False blocks": count(one.false_blocks) + _range(one.false_block_bounds),
        "Unknown blocks": count(one.unknown_blocks),
        "Harmful passes": f"{of(one.harmful_passes, acted)}{_range(one.harm_bounds)}",
        "Unknown passes": count(one.unknown_passes),
    }


def _part(part: int, whole: int) -> str:
    return f"{of(part, whole)} ({share(part, whole)})" if whole else "–"


def _range(bounds: tuple[float, float]) -> str:
    low, high = bounds
    if math.isnan(low):
        return ""
    if low == high:
        return f" ({number(100 * low, '%')})"
    return f" ({number(round(100 * low, 1))} to {number(round(100 * high, 1), '%')})"
