"""What the devices' own numbering says: what is missing, what was dropped, and whether it verifies."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import streamlit as st

from observability.store.read_chains import LISTED, Chains, Place, as_text, troubles
from pages import components
from pages.format import ago, code, count, instant, many, plain

_KEYS = {"first use": "key pinned on first use", "handed on": "key handed on by the one before"}
_STANDINGS = {
    "verified": "● verified: what its device signed leads back to it",
    "not signed yet": "○ not verified: no signature of its device reaches it yet",
    "forked": ":red[■] **forked: other content came under this number**",
    "broken": ":red[■] **the chain is broken here: this or the next one was altered**",
}


def chains(found: Chains) -> None:
    """Whether everything that was numbered is here, then each thing that is not in order."""
    components.section("Chains", "as of now: what the devices numbered and signed")
    st.markdown(f"{'●' if not found.total('missing') else ':red[■]'} {plain(complete(found))}.")
    for row in found.suspect.iter_rows(named=True):
        st.markdown(f":red[■] **{plain(row['device_id'])}**: {plain('; '.join(troubles(row)))}.")
    if found.gaps.is_empty():
        return
    components.listing(
        [_gap(row) for row in found.gaps.iter_rows(named=True)],
        alt="Numbers that are missing, by device and chain",
    )
    if found.gaps.height == LISTED:
        st.caption(f"The newest {LISTED} gaps are listed.")


def complete(found: Chains) -> str:
    """Is every numbered decision here, in one sentence without its full stop."""
    if not found.devices:
        return "No device numbers what it sends, so nothing can be known to be missing"
    lost = found.total("lost")
    declared = "was" if lost == 1 else "were"
    dropped = f"; {count(lost)} {declared} declared lost on the device" if lost else ""
    missing = found.total("missing")
    if not missing:
        return f"Every numbered decision of {many(found.devices, 'device')} is here{dropped}"
    names = sorted(set(found.gaps["device_id"].to_list()))
    since = instant(min(found.gaps["since"].to_list()))
    who = f"{names[0]}: {as_text(found.gaps.iter_rows(named=True))}"
    if len(names) > 1:
        who = many(len(names), "device")
    return f"{count(missing)} {'is' if missing == 1 else 'are'} missing from {who}, since {since}{dropped}"


def line(found: Chains, key_by: str | None, now: datetime) -> None:
    """A device's chain in one line; nothing where it has none."""
    if found.devices:
        st.markdown(f"Chain: {device_words(found, key_by, now)}.")


def device_words(found: Chains, key_by: str | None, now: datetime) -> str:
    """How far a device's newest chain verifies, and what is missing of all its chains."""
    newest = next(row for row in found.status.iter_rows(named=True) if row["current"])
    signed = newest["signed_at"]
    if newest["verified_to"] is None or signed is None:
        said = f"{many(newest['arrived'], 'number')} here, none verified yet"
    else:
        when = ago(max(0.0, (now - signed).total_seconds()))
        said = f"verified to {count(newest['verified_to'])}, signed {when}"
    missing = found.total("missing")
    gone = "nothing missing"
    if missing:
        gone = f"**{count(missing)} missing: {as_text(found.gaps.iter_rows(named=True))}**"
    lost = found.total("lost")
    parts = [said, gone]
    parts += [f"{count(lost)} declared lost on the device"] if lost else []
    parts += [_KEYS[key_by]] if key_by in _KEYS else []
    parts += [
        f"**{plain('; '.join(troubles(row)))}**" for row in found.suspect.iter_rows(named=True)
    ]
    return "; ".join(parts)


def standing(place: Place | None) -> str:
    """Where a decision stands in its chain, as Markdown."""
    if place is None:
        return "not numbered by its device"
    return (
        f"number {count(place.chain.seq)} of {code(place.chain.chain_id)}, "
        f"{_STANDINGS[place.standing]}"
    )


def _gap(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "Device": plain(row["device_id"]),
        "Missing": as_text([row]),
        "Numbers": count(row["seq_to"] - row["seq_from"] + 1),
        "Known since": instant(row["since"]),
        "Chain": code(row["chain_id"]),
    }
