"""The record behind a decision: what went in, what surrounded it, where all of it comes from."""

from __future__ import annotations

import streamlit as st

from observability.explain.explanation import Attributions
from observability.explain.input_rows import InputRow
from observability.explain.wording import drift_line, rollout_line
from observability.store.read_surroundings import Surroundings
from observability.store.stored import StoredDecision
from pages import components
from pages.chain_parts import standing
from pages.format import (
    count,
    days,
    duration,
    instant,
    link_unit,
    many,
    number,
    plain,
    short_digest,
    signed,
)
from pages.reads import Story
from traces import Decision, ModelVersion
from traces.codec import context_name
from traces.conventions import WITHHELD

_ORIGINS = {"otlp": "sent over OTLP", "import": "imported from a file"}
_PLACES = {
    "below": "**▼ below usual**",
    "above": "**▲ above usual**",
    "usual": "usual",
    "not recorded": "○ not recorded",
    "unknown": "–",
}


def inputs(rows: tuple[InputRow, ...], link: str | None, withheld: tuple[str, ...] = ()) -> None:
    """What the model saw beside what is usual, the strongest attribution first."""
    most = max((row.usual.count for row in rows if row.usual), default=0)
    note = (
        f"usual: 5th to 95th percentile of the device's last {count(most)} decisions of this type"
    )
    components.section("Inputs", note if most else "")
    if not rows:
        st.markdown("No input was recorded.")
        return
    components.listing(
        [_input(row, link, withheld=row.name in withheld) for row in rows],
        alt="Inputs with their value, their usual range and how far each pushed the score",
    )


def context(decision: Decision) -> None:
    """What turned a prediction into an action on this device."""
    components.section("Context")
    withheld = [name for name in map(context_name, decision.withheld) if name is not None]
    if not (decision.context or withheld):
        st.markdown("Not recorded.")
        return
    components.facts(
        {
            plain(name): number(value) if isinstance(value, float) else plain(str(value))
            for name, value in decision.context.items()
        }
        | {plain(name): f"○ {WITHHELD}" for name in withheld},
        alt="The context values of this decision",
    )


def provenance(story: Story) -> None:
    """Where all of this comes from."""
    components.section("Provenance")
    explained, stored = story.explanation, story.explanation.stored
    components.facts(
        {
            "Decision": f"`{stored.decision_id}`",
            "Model": _model(stored.decision.model),
            **_spec(explained.attributions),
            "Identity": f"{plain(stored.identity)}, {_ORIGINS.get(stored.origin, plain(stored.origin))}",
            "Received": f"{instant(stored.received_at)}, {_lag(stored)}",
            "Decided in": _latency(stored.decision),
            "Clock": _clock(stored.decision, stored.clock_uncertainty_us),
            "Chain": standing(explained.chain),
            "Release": plain(rollout_line(explained.rollout)),
            "Inputs then": plain(drift_line(explained.drift)),
            "Sent by": _service(story.around),
        },
        alt="Where this decision and its explanation come from",
    )


def _input(row: InputRow, link: str | None, *, withheld: bool) -> dict[str, str]:
    usual = row.usual
    spread = usual.high - usual.low if usual else 0.0
    value = (
        plain(row.value)
        if isinstance(row.value, str)
        else number(row.value, row.unit, resolution=spread)
    )
    shown = {
        "Input": plain(row.name),
        "Value": f"○ {WITHHELD}" if withheld else f"**{value}**",
        "Usual range": "–"
        if usual is None
        else f"{number(usual.low, resolution=spread)} to "
        f"{number(usual.high, row.unit, resolution=spread)}",
        "Compared": "–" if withheld else _PLACES[row.place],
    }
    if link is None:
        return shown
    pushed = "–" if row.pushed is None else signed(row.pushed)
    return {**shown, f"Pushed, {link_unit(link)}": pushed}


def _lag(stored: StoredDecision) -> str:
    """How long it took from the device's decision to here."""
    lag = (stored.received_at - stored.decided_at).total_seconds()
    return (
        f"{duration(lag)} after it was decided"
        if lag >= 0
        else f"{duration(-lag)} before: clocks differ"
    )


def _model(version: ModelVersion) -> str:
    return f"{plain(version.name)} {plain(version.version)} `{version.digest}`"


def _spec(parts: Attributions | None) -> dict[str, str]:
    if parts is None:
        return {"Explanation": "none, for the reason above"}
    spec = parts.spec
    window = days(spec.background_from, spec.background_to)
    drawn = f"{many(spec.background_rows, 'row')} drawn with seed {spec.background_seed}"
    reference = f"{drawn}, {window} `{short_digest(spec.reference_id)}`"
    said = f"{plain(spec.algorithm)}, {plain(spec.library)} `{short_digest(spec.spec_id)}`"
    return {"Reference": reference, "Explanation": said}


def _clock(decision: Decision, uncertainty_us: int | None) -> str:
    reading = decision.clock
    if reading is None:
        return "not recorded"
    said = "synchronised" if reading.synced else "not synchronised"
    unsure = "" if uncertainty_us is None else f", ± {duration(uncertainty_us / 1e6)}"
    return f"{said}{unsure}, boot {plain(reading.boot_id)}"


def _latency(decision: Decision) -> str:
    """How long model and gates took on the device, and how long they may."""
    took, may = decision.latency_us, decision.budget_us
    if took is None:
        return "not measured"
    if may is None:
        return f"{count(took)} µs"
    over = "" if took <= may else "**▲ over budget:** "
    return f"{over}{count(took)} µs of {count(may)} µs"


def _service(around: Surroundings) -> str:
    kept = ("service.name", "service.version", "device.model.identifier")
    said = [plain(around.resource[name]) for name in kept if around.resource.get(name)]
    return " ".join(said) or "not recorded"
