"""What else the device could have done: the smallest change that leads there, and who decided."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from observability.explain.alternatives import Alternatives
from observability.explain.explanation import Explanation
from observability.explain.flip import Flip
from observability.explain.past import PastDecision
from observability.explain.wording import nearest_line
from observability.figures.shares import ranked, shares_chart
from pages import components
from pages.format import instant, number, plain
from pages.marks import bare_mark


def flips(explained: Explanation, units: Mapping[str, str]) -> None:
    """The smallest changes of the inputs with which the device would have done something else."""
    parts, other = explained.attributions, explained.alternatives
    if parts is None or not parts.adds_up:
        return
    components.section("What would have changed it", "through model and gates, all else the same")
    if other is None:
        for line in explained.missing:
            st.markdown(f"○ {plain(line[:1].upper() + line[1:])}.")
        return
    found = [flip for flip in (other.flips.one, other.flips.two) if flip is not None]
    if not found:
        st.markdown(f"{_none(other)}.")
        return
    components.listing(
        [row for flip in found for row in _rows(flip, units)],
        alt="The smallest changes of inputs that change the action",
    )
    how = "exact for one input" if other.flips.exact else "the best found"
    if len(found) == 2:
        how += ", the best found for two"
    seen = f" Gates of the other side as in `{other.gates_seen_in}`." if other.gates_seen_in else ""
    st.caption(
        f"{how.capitalize()}, within what the reference has seen. "
        f"Distance in the device's own IQR, the middle half of its past values.{seen}"
    )


def nearest(explained: Explanation) -> None:
    """The past decisions most like this one, what was done then and what came of it."""
    found = explained.nearest
    components.section("Nearest past decisions", "in every input, in the device's own IQRs")
    if found is not None and found.decisions:
        components.listing(
            [_past(each) for each in found.decisions],
            alt="The past decisions nearest in every input, with what was done and its outcome",
        )
    line = nearest_line(found)
    st.caption(f"{plain(line[:1].upper() + line[1:])}.")


def shares(other: Alternatives) -> None:
    """Each gate's and each input's share of the action."""
    found = other.shares
    components.section("Who decided", "shares of the action, gates and inputs together")
    strongest = ranked(found, 1)
    if not strongest:
        st.markdown("Nothing that was asked changed the action.")
        return
    (part, gate), *_ = strongest
    said = (
        f"{'gate ' if gate else ''}{part.name} has the largest share, {number(100 * part.share)} %"
    )
    components.figure(shares_chart(found), alt=said, key="decision_shares")
    st.caption(
        f"Without gates, {number(100 * found.base, '%')} of reference decisions lead to "
        f"{plain(found.action)}; all shares add to the rest. Below zero: spoke for another action. "
        f"Sampled, {found.pairs} pairs of orders."
    )


def _past(each: PastDecision) -> dict[str, str]:
    return {
        "Decided": f"[{instant(each.decided_at)}](decision?id={each.decision_id})",
        "Device": plain(each.device_id),
        "Distance": f"{number(each.distance)} IQR",
        "Did": f"{bare_mark(each.disposition)} {plain(each.action)}",
        "Outcome": plain(each.label) if each.label else "○ not known",
    }


def _none(other: Alternatives) -> str:
    if other.flips.exact:
        return "○ No change of one input within what the reference has seen would have done it"
    return "○ No change of one or two inputs was found that would have done it"


def _rows(flip: Flip, units: Mapping[str, str]) -> list[dict[str, str]]:
    rows = []
    for place, change in enumerate(flip.changes):
        unit, first = units.get(change.feature, ""), place == 0
        rows.append(
            {
                "To": f"**{plain(flip.action)}**" if first else "and",
                "Input": plain(change.feature),
                "Was": _text(change.before, unit, change.after),
                "Would have to be": f"**{_text(change.after, unit, change.before)}**",
                "Distance": f"{number(flip.cost)} IQR" if first else "",
            }
        )
    return rows


def _text(value: float | str, unit: str, other: float | str) -> str:
    if isinstance(value, str):
        return plain(value)
    apart = 0.0 if isinstance(other, str) else abs(value - other)
    return number(value, unit, resolution=apart)
