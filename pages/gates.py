"""Gates: what did gates and people do for and against the fleet, and what would other limits have done?"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from observability.figures.funnel import funnel
from observability.monitor.backtest import Backtest
from observability.monitor.scorecard import Tally
from observability.store.read import Window
from pages import components, reads, reads_outcomes, routes, tables, time_range
from pages import gate_parts as parts
from pages.format import count
from pages.marks import THEMED


def main() -> None:
    """Draw the page."""
    freshness = reads.current()
    with components.header(freshness):
        time_range.control(freshness)
    if freshness.newest_received_at is None:
        components.sentence("No decision yet, so no gate has judged one")
        components.no_data("Point a recorder at this address, or run `whence replay`.")
        return
    window = time_range.chosen(freshness)
    card = reads_outcomes.scorecard_over(window)
    if not card.gates:
        components.sentence(f"No gate judged a proposal {time_range.words(freshness)}")
        components.filtered_out("Widen the time range, or let devices record their gates.")
        return
    headline = st.container()
    decision_type = parts.type_control(card)
    gates = sorted(
        (one for one in card.gates if one.decision_type == decision_type),
        key=lambda one: -one.blocked,
    )
    with headline:
        components.sentence(parts.answer(gates))
    shown = next(one for one in card.funnels if one.decision_type == decision_type)
    components.section("How far proposals came", f"{decision_type}, those that gates judged")
    components.figure(
        funnel(shown, THEMED),
        alt=f"Proposals of {decision_type}: recommended, passed every rule, carried out, outcome known",
        key="gates_funnel",
    )
    parts.gate_table(gates)
    parts.people_table([one for one in card.people if one.decision_type == decision_type])
    st.caption(parts.MEANING)
    _backtest(gates, window)


def _backtest(gates: Sequence[Tally], window: Window) -> None:
    decision_type = gates[0].decision_type
    known = {
        rule.gate: rule
        for rule in reads_outcomes.rules_over(window)
        if rule.decision_type == decision_type
    }
    rules = [known[one.gate] for one in gates if one.gate in known]
    components.section("What would another rule have done?", "recorded proposals, replayed")
    if parts.how_control(rules) == parts.ADDED:
        change = parts.added_control(reads_outcomes.measured_over(window, decision_type))
    else:
        change = parts.change_control(rules)
    if change is None:
        st.markdown("No number was recorded with these proposals that a rule could look at.")
        return
    found = reads_outcomes.backtest_over(window, decision_type, change)
    parts.backtest(found)
    if found.flips:
        _flips(found)


def _flips(found: Backtest) -> None:
    listed = found.flips[: tables.FLIPS_LISTED]
    row = components.grid(**tables.flips(listed), key="gates_flips")
    if len(found.flips) > len(listed):
        st.caption(f"The newest {count(len(listed))} of {count(len(found.flips))} are listed.")
    if row is not None:
        routes.go(routes.DECISION, id=listed[row].decision_id)


main()
