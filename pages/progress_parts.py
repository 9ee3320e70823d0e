"""How far explaining has come, model by model, and what cannot be explained and why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import streamlit as st

from observability.store.read_progress import Progress
from pages import components
from pages.format import NOT_RECORDED, ago, count, instant, many, of, plain, share, short_digest

_ON_DEMAND = (
    "On demand: decisions of a black box that no gate stopped, no person reviewed and that were no near "
    "thing; 2 % of them are explained as a sample, the others when their page is opened."
)


def progress(found: Progress | None, now: datetime) -> None:
    """What is explained of what could be; then each model that decided."""
    components.section("Explained", "as of now: decisions of the models registered here")
    if found is None:
        st.markdown("Not known: this store is of an earlier version, and not yet written again.")
        return
    if found.models.is_empty():
        st.markdown(
            "No model is registered and none has decided: `whence models add` registers one."
        )
        return
    st.markdown(sentence(found, now))
    components.listing(
        [_model(row) for row in found.models.iter_rows(named=True)],
        alt="Models, with how many of their decisions are explained, wait or cannot be explained",
    )
    if found.total("on_demand"):
        st.caption(_ON_DEMAND)
    if not found.reasons.is_empty():
        components.listing(
            [_reason(row) for row in found.reasons.iter_rows(named=True)],
            alt="Reasons why decisions could not be explained, by model, with their number",
        )


def sentence(found: Progress, now: datetime) -> str:
    """How many are explained, up to when, and how far behind that is, as Markdown."""
    decisions, waiting = found.total("decisions"), found.total("waiting")
    if not decisions:
        return "No decision of a model that is registered here with its reference was received."
    done = f"**{of(found.total('explained'), decisions)}** are explained"
    if found.newest_decided_at is not None:
        done += f", the newest decided {instant(found.newest_decided_at)}"
    if found.total("on_demand"):
        done += f"; **{count(found.total('on_demand'))}** are on demand"
    if not waiting or found.waiting_since is None:
        return f"● {done}; none waits."
    when = ago(max(0.0, (now - found.waiting_since).total_seconds()))
    looked = "not begun" if found.looked_at is None else instant(found.looked_at)
    return (
        f"○ {done}; **{many(waiting, 'decision')}** {'waits' if waiting == 1 else 'wait'}, "
        f"the oldest received {when}. Last progress: {looked}."
    )


def _model(row: Mapping[str, Any]) -> dict[str, str]:
    shown = {
        "Model": plain(row["model"]),
        "Digest": f"`{short_digest(row['digest'])}`",
        "Decisions": count(row["decisions"]),
    }
    if row["lacks"] is not None:
        return {**shown, "Explained": plain(row["lacks"]), **dict.fromkeys(_COUNTED, "–")}
    return {
        **shown,
        "Explained": _part(row["explained"], row["decisions"]),
        "Waiting": _part(row["waiting"], row["decisions"]),
        "On demand": count(row["on_demand"]),
        "Not explainable": count(row["unexplainable"]),
        "Newest explained": NOT_RECORDED
        if row["newest_decided_at"] is None
        else f"decided {instant(row['newest_decided_at'])}",
    }


def _part(part: int, whole: int) -> str:
    return f"{count(part)} ({share(part, whole)})" if part else "0"


_COUNTED = ("Waiting", "On demand", "Not explainable", "Newest explained")


def _reason(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "Model": plain(row["model"]),
        "Not explainable, because": plain(row["reason"]),
        "Decisions": count(row["decisions"]),
    }
