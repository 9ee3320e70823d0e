"""Why a device decided so: the model's part, the gates' part, and what turned out to be true."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import streamlit as st

from observability.explain.explanation import (
    FLEET,
    Attributions,
    Explanation,
    GateStep,
    Spec,
)
from observability.explain.sentence import acted
from observability.explain.versus import DEVICE
from observability.explain.wording import MODEL_NOT_CAUSE, SHARED_CREDIT
from observability.figures.waterfall import waterfall
from observability.store.read_surroundings import Surroundings
from observability.store.stored import StoredDecision
from pages import components, routes
from pages.components import Tile
from pages.format import (
    code,
    count,
    days,
    duration,
    instant,
    link_unit,
    many,
    number,
    plain,
    signed,
)
from pages.marks import bare_mark, verdict_mark
from traces import GateVerdict
from traces.conventions import WITHHELD

_MUST_BE = {
    "<": "below",
    "<=": "at most",
    ">": "above",
    ">=": "at least",
    "==": "exactly",
    "!=": "not",
}
_REVIEWED = {
    "pass": "approved",
    "block": "refused",
    "modify": "approved with a change",
    "defer": "passed on",
}
VERSUS = "versus"


def neighbours(around: Surroundings, stored: StoredDecision) -> tuple[Path, dict[str, str]] | None:
    """The way to the device's other decisions; where the reader wants to go, if anywhere."""
    moved = None
    for label, key, near in (("← Previous", "k", around.previous), ("Next →", "j", around.next)):
        apart = "" if near is None else _apart(stored, near.decided_at)
        pressed = st.button(f"{label}{apart}", key=f"go_{key}", shortcut=key, disabled=near is None)
        if pressed and near is not None:
            moved = routes.DECISION, {"id": near.decision_id}
    if st.button(f"Device {plain(stored.device_id)}", key="go_device", type="tertiary"):
        moved = routes.DEVICE, {"id": stored.device_id}
    return moved


def byline(stored: StoredDecision) -> None:
    """Who decided what, when."""
    decision = stored.decision
    st.markdown(
        f"**{plain(decision.type)}** on device **{plain(stored.device_id)}** · "
        f"{instant(stored.decided_at, fine=True)}"
    )


def tiles(explained: Explanation) -> tuple[Tile, ...]:
    """The decision in five numbers."""
    decision, proposed = explained.stored.decision, explained.stored.decision.recommendation
    score = None if proposed is None else proposed.score
    outcome = explained.stored.outcomes[-1] if explained.stored.outcomes else None
    return (
        Tile("Score", "not recorded" if score is None else number(score), _threshold(explained)),
        Tile(
            "Model proposed",
            acted(proposed.action, proposed.value) if proposed else "not recorded",
            f"{decision.model.name} {decision.model.version}",
        ),
        Tile("Device did", acted(decision.action, decision.value), bare_mark(decision.disposition)),
        _gate_tile(explained.gates),
        Tile(
            "Outcome",
            outcome.label if outcome else "not known yet",
            f"{_after(explained.stored, outcome.observed_at)}" if outcome else "",
        ),
    )


def why(explained: Explanation) -> None:
    """The waterfall, or prominently why there is none."""
    parts = explained.attributions
    unit = "" if parts is None else f"in {link_unit(parts.spec.link)}"
    components.section("Why the model scored it so", unit)
    _versus_control(explained)
    if parts is None:
        for line in explained.missing:
            st.warning(f"Not explained: {plain(line)}.")
        return
    if not parts.adds_up:
        problems = "; ".join(plain(problem) for problem in parts.problems)
        st.error(f"**This explanation is not in order, so its parts are not shown:** {problems}.")
        return
    components.figure(waterfall(parts), alt=_said(parts), key="decision_waterfall")
    st.caption(
        f"The parts add up: base {number(parts.base)} and {count(len(parts.phi))} inputs give "
        f"{number(parts.output)}, residual {number(parts.residual)}. {_sampled(parts)}{replay(parts)}  \n"
        f"{MODEL_NOT_CAUSE} {SHARED_CREDIT} {relative_to(parts.spec)}"
    )


def link_shown(explained: Explanation) -> str | None:
    """The unit of what each input pushed; None where that is not to be shown."""
    parts = explained.attributions
    return parts.spec.link if parts is not None and parts.adds_up else None


def relative_to(spec: Spec) -> str:
    """Against what the attributions are measured."""
    window = days(spec.background_from, spec.background_to)
    kind, _, of = spec.versus.partition(" ")
    if kind == "decision":
        return f"Relative to decision {code(of)}."
    if kind == "device":
        rows = f"the last {count(spec.background_rows)} decisions of {plain(of)} before it"
        return f"Relative to {rows}, {window}."
    return f"Relative to {count(spec.background_rows)} reference decisions, {window}."


def replay(parts: Attributions) -> str:
    """Whether the model here gave the score that the device recorded."""
    if parts.replay_error is None:
        return "The device recorded no score to replay."
    if parts.replay_error == 0:
        return "The model here gives the device's score exactly."
    return f"The model here gives the device's score but for {number(parts.replay_error)}."


def _versus_control(explained: Explanation) -> None:
    """Choose what the decision is compared with: one thing, never two in one chart."""
    stored = explained.stored
    names = {FLEET: "the fleet's reference", DEVICE: f"the last decisions of {stored.device_id}"}
    past = explained.nearest.decisions if explained.nearest else ()
    names |= {
        each.decision_id: f"{each.device_id}, {instant(each.decided_at)}: {each.action}"
        for each in past
    }
    asked = st.query_params.get(VERSUS, FLEET)
    names.setdefault(asked, f"decision {asked}")
    st.selectbox(
        "Versus what?", list(names), format_func=lambda name: names[name], key=VERSUS, bind="query-params",
    )  # fmt: skip


def _sampled(parts: Attributions) -> str:
    """How sure the parts are, where they are not exact."""
    most = max(parts.standard_error, default=0.0)
    return f"Sampled: each part ± {number(most)} at most (standard error). " if most else ""


def gates(explained: Explanation, units: Mapping[str, str]) -> None:
    """The gate chain in its order, the binding gate marked."""
    components.section("Gates", "in the order they were asked")
    if not explained.gates:
        st.markdown("No gate was asked.")
        return
    components.listing(
        [_gate(step, units.get(step.verdict.input, "")) for step in explained.gates],
        alt="The gate chain: verdict, observed value, limit and margin of each gate",
    )
    consequence = _had_it_passed(explained)
    if consequence:
        st.markdown(consequence)
    for line in reviewed(explained.stored):
        st.markdown(line)


def outcomes(stored: StoredDecision) -> None:
    """What turned out to be true, or that it is not known yet."""
    components.section("Outcome")
    if not stored.outcomes:
        st.markdown("○ Not known yet.")
        return
    components.listing(
        [
            {
                "Outcome": f"**{plain(known.label)}**",
                "Value": "–" if known.value is None else number(known.value),
                "Source": plain(known.source),
                "Observed": f"{instant(known.observed_at)}, {_after(stored, known.observed_at)}",
            }
            for known in stored.outcomes
        ],
        alt="What turned out to be true of this decision",
    )


def _gate_tile(steps: tuple[GateStep, ...]) -> Tile:
    bound = next((step.verdict for step in steps if step.binding), None)
    if bound is not None:
        return Tile("Binding gate", bound.name, bound.reason)
    return Tile(
        "Binding gate", "none", f"{many(len(steps), 'gate')} passed" if steps else "none was asked"
    )


def reviewed(stored: StoredDecision) -> list[str]:
    """What people said to the decision, a line each; that one is waited for where none has."""
    lines = [
        f"{verdict_mark(said.verdict, _REVIEWED[said.verdict])} by **{plain(said.reviewer)}** "
        f"{_after(stored, said.reviewed_at).removesuffix(' after')} later"
        f"{f': {plain(said.reason)}' if said.reason else ''}"
        f"{f'; the device then did **{plain(said.action)}**' if said.action else ''}."
        for said in stored.reviews
    ]
    closed = any(said.verdict != "defer" for said in stored.reviews)
    if stored.decision.disposition == "deferred" and not closed:
        lines.append(f"◇ Waiting for a person since {instant(stored.decided_at)}.")
    return lines


def _gate(step: GateStep, unit: str) -> dict[str, str]:
    said = step.verdict
    replayed = " · does not replay" if step.replays is False else ""
    return {
        "Gate": f"**{plain(said.name)}** ◀ binding" if step.binding else plain(said.name),
        "Verdict": verdict_mark(said.verdict) + replayed,
        **_rule(said, abs(step.margin or 0.0), _unit(said.input, unit)),
        "Margin": "–" if step.margin is None else signed(step.margin, _unit(said.input, unit)),
    }


def _rule(said: GateVerdict, apart: float, unit: str) -> dict[str, str]:
    """What was observed, and what it has to be."""
    if not said.operator:
        seen = WITHHELD if said.reason == WITHHELD else ""
        observed = f"{plain(said.input)} {seen}".strip() or said.kind
        return {"Observed": observed, "Must be": "–" if seen else plain(said.reason) or "–"}
    if " in [" in said.input:
        truth = {1.0: "yes", 0.0: "no"}.get(said.observed, number(said.observed))
        return {"Observed": f"{plain(said.input)}: {truth}", "Must be": "yes"}
    observed = number(said.observed, unit, resolution=apart)
    rule = f"{_MUST_BE.get(said.operator, plain(said.operator))} {number(said.limit, unit)}"
    return {"Observed": f"{plain(said.input)} {observed}", "Must be": rule}


def _unit(observed: str, unit: str) -> str:
    """The unit of what a gate observed: of a breach it is time."""
    return "s" if observed.startswith("breach(") else unit


def _had_it_passed(explained: Explanation) -> str:
    proposed = explained.stored.decision.recommendation
    stepped_in = [step.verdict for step in explained.gates if step.verdict.verdict != "pass"]
    if not stepped_in or proposed is None:
        return ""
    if len(stepped_in) == 1:
        name, what = plain(stepped_in[0].name), acted(proposed.action, proposed.value)
        return f"Had {name} passed, the device would have done **{plain(what)}**."
    return f"{len(stepped_in)} gates stepped in: had only one of them passed, nothing would differ."


def _threshold(explained: Explanation) -> str:
    proposed = explained.stored.decision.recommendation
    if proposed is None or proposed.threshold is None:
        return "no threshold recorded"
    if explained.score_margin is None:
        return f"threshold {number(proposed.threshold)}"
    return f"threshold {number(proposed.threshold)}, margin {signed(explained.score_margin)}"


def _after(stored: StoredDecision, at: datetime) -> str:
    return f"{duration((at - stored.decided_at).total_seconds())} after"


def _apart(stored: StoredDecision, at: datetime) -> str:
    return f" · {duration(abs((at - stored.decided_at).total_seconds()))}"


def _said(parts: Attributions) -> str:
    strongest = max(zip(parts.phi, parts.spec.features, strict=True), key=lambda part: abs(part[0]))
    return (
        f"From base {number(parts.base)} to output {number(parts.output)}; "
        f"{strongest[1]} pushed most, by {signed(strongest[0])}"
    )
