"""What stands between the devices and this screen, in words, numbers and small tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from observability.monitor.delivery import Webhook
from observability.monitor.webhook import host_of
from observability.store.read_chains import Chains
from observability.store.read_health import LISTED, Health, Late
from observability.store.read_storage import Maintained, Storage
from observability.store.spells import Spell, spells
from pages import components
from pages.components import Tile
from pages.format import (
    NOT_RECORDED,
    count,
    duration,
    instant,
    many,
    number,
    plain,
    size,
    span,
)

_NAMED = 6
_SPELLS_SAID = 3


def trust(found: Health, still_s: float | None, when: str) -> str:
    """Can this screen be trusted, in one sentence. `still_s`: how long nothing came, if that is odd."""
    arrived = found.arrived
    if still_s is not None:
        return f"This screen shows the past: nothing was received for {duration(still_s)}."
    doubts = _doubts(found)
    if doubts:
        return f"Trust this screen with care: {'; '.join(doubts)} {when}."
    if not arrived.decisions:
        return f"Nothing was received {when}, so there is nothing to judge."
    came = f"{many(arrived.decisions, 'decision')} came {when}, none was rejected"
    late = f"; {count(found.late.decisions)} came late, complete" if found.late.decisions else ""
    return f"This screen can be trusted: {came}{late}."


def tiles(found: Health) -> tuple[Tile, ...]:
    """How it arrives, in five numbers."""
    arrived, late, storage = found.arrived, found.late, found.storage
    rate = "" if arrived.per_hour is None else f"{number(arrived.per_hour)} an hour"
    return (
        Tile("Decisions received", count(arrived.decisions), rate),
        Tile(
            "Lag, median",
            "–" if arrived.median_lag_s is None else duration(arrived.median_lag_s),
            "" if arrived.high_lag_s is None else f"95 % within {duration(arrived.high_lag_s)}",
            "From the device's decision to its receipt here.",
        ),
        Tile(
            "Came late",
            count(late.decisions),
            f"by over {duration(late.over_s)}, {many(late.devices, 'device')}",
            "Later than an hour, and than ten times the median lag.",
        ),
        Tile(
            "Spans rejected",
            count(found.rejected),
            f"for {many(found.reasons, 'reason')}" if found.reasons else "",
        ),
        Tile(
            "Store",
            size(storage.bytes),
            ""
            if storage.bytes_per_decision is None
            else f"{size(round(storage.bytes_per_decision))} a decision",
            "All tables and the catalog.",
        ),
    )


def late(found: Late) -> None:
    """The late decisions as the outages that they tell of."""
    components.section("Late arrivals", f"more than {duration(found.over_s)} after the decision")
    if not found.decisions:
        st.markdown("● None: what was decided came in time.")
        return
    said = spells(found.blocks)
    for spell in said[:_SPELLS_SAID]:
        st.markdown(_spell(spell))
    if len(said) > _SPELLS_SAID:
        st.markdown(f"And {many(len(said) - _SPELLS_SAID, 'earlier stretch')} below.")
    if found.blocks.height == LISTED:
        st.caption(f"The newest {LISTED} are listed.")


def rejects(found: Health) -> None:
    """What was refused, by reason: bad data is data, kept with why."""
    components.section("Rejected spans", "kept with their reason, in the table rejects")
    if not found.rejected:
        st.markdown("● None was rejected.")
        return
    components.listing(
        [_reject(row) for row in found.rejects.iter_rows(named=True)],
        alt="Rejected spans by reason, with count, devices and the newest of each",
    )
    if found.reasons > found.rejects.height:
        st.caption(f"{count(found.rejects.height)} of {count(found.reasons)} reasons are listed.")


def repeats(found: Health) -> None:
    """What came twice: the same content, or another."""
    components.section("Repeats and conflicts")
    st.markdown(
        f"Repeats, the same content again: **{NOT_RECORDED}**; they are dropped and not counted.  \n"
        f"Conflicts, other content under the same id: **{count(found.conflicted)}**"
        + ("; the first is shown, the other kept." if found.conflicted else ".")
    )


def webhooks(found: Sequence[Webhook]) -> None:
    """Who is told of alerts, and of each that is not, why; nothing where nobody is to be told."""
    if not found:
        return
    components.section("Webhooks", "told of alerts")
    for webhook in found:
        st.markdown(_webhook(webhook))


def storage(found: Storage) -> None:
    """How the store lies on disk."""
    components.section("Store", "its newest commit")
    tables_, facts = st.columns([4, 3], gap="medium")
    with tables_:
        components.listing(
            [_table(row) for row in found.files.iter_rows(named=True)],
            alt="The tables of the store with the number and size of their files",
        )
    with facts:
        components.facts(
            {
                "In all": f"{size(found.bytes)} in {many(sum(found.files['files']), 'file')}",
                "To be merged": f"{many(found.small, 'small file')}",
                "Last maintenance": _maintained(found.maintained),
                "Retention": f"{many(found.retention_days, 'day')} from receipt",
                "Oldest decision": NOT_RECORDED
                if found.oldest_received_at is None
                else f"received {instant(found.oldest_received_at)}",
                "Under hold": many(found.held, "decision"),
                "Newest commit": NOT_RECORDED
                if found.newest_snapshot_at is None
                else instant(found.newest_snapshot_at),
                "Schema version": str(found.schema_version),
                "Clock": "recorded time"
                if found.clock == "recorded"
                else "system: this machine's time",
            },
            alt="Files, maintenance, retention, schema version and clock of the store",
        )


def _maintained(found: Maintained | None) -> str:
    if found is None:
        return "never"
    did = (
        (found.merged, many(found.merged, "file") + " merged"),
        (found.removed, many(found.removed, "file") + " removed"),
        (found.expired, many(found.expired, "row") + " expired"),
        (found.folded, many(found.folded, "chain event") + " folded"),
    )
    said = ", ".join(text for count_, text in did if count_) or "nothing to do"
    return f"{instant(found.started_at)}: {said}"


def _webhook(found: Webhook) -> str:
    host, waiting, failure = plain(host_of(found.url)), found.waiting, found.last_failure
    lost = f"; {many(found.given_up, 'event')} given up after 3 days" if found.given_up else ""
    if not waiting:
        return f"{':red[■]' if lost else '●'} {host} has taken everything that waited{lost}."
    why = "" if failure is None else f"; {plain(failure.reason)}, {instant(failure.at)}"
    return (
        f":red[■] **{many(len(waiting), 'event')} of alerts {'waits' if len(waiting) == 1 else 'wait'}"
        f" for {host}** since {instant(waiting[0].event.at)}{why}{lost}"
    )


def _doubts(found: Health) -> list[str]:
    arrived = found.arrived
    incomplete = [spell for spell in spells(found.late.blocks) if not spell.complete]
    every = (
        (found.chains.total("missing"), f"{_missing(found.chains)} missing"),
        (found.chains.suspect.height, "a device's record that does not hold together"),
        (found.rejected, f"{many(found.rejected, 'span')} rejected"),
        (found.conflicted, many(found.conflicted, "conflicting span")),
        (incomplete, f"{many(found.late.decisions, 'decision')} came late, with gaps"),
        (
            arrived.ahead,
            f"{many(arrived.ahead_devices, 'device clock')} ahead of this one",
        ),
    )
    return [said for there, said in every if there]


def _missing(found: Chains) -> str:
    return many(found.total("missing"), "numbered decision")


def _spell(spell: Spell) -> str:
    names = ", ".join(plain(name) for name in spell.device_ids[:_NAMED])
    more = " …" if len(spell.device_ids) > _NAMED else ""
    whole = "came late, complete" if spell.complete else ":red[■] came late, **with gaps**"
    return (
        f"**{many(len(spell.device_ids), 'device')}, {span(spell.first_at, spell.last_at)}: "
        f"{many(spell.decisions, 'decision')} {whole}**, the last by {instant(spell.received_at)}. "
        f"{names}{more}"
    )


def _reject(row: Mapping[str, Any]) -> dict[str, str]:
    names = ", ".join(plain(name) for name in row["device_ids"])
    more = f" and {count(row['devices'] - len(row['device_ids']))} more"
    known = names + (more if row["devices"] > len(row["device_ids"]) else "")
    nameless = f"{count(row['nameless'])} of no known device" if row["nameless"] else ""
    return {
        "Reason": plain(row["reason"]),
        "Spans": count(row["rejected"]),
        "Device": "; ".join(said for said in (known, nameless) if said),
        "Newest": instant(row["newest_at"]),
    }


def _table(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "Table": plain(row["name"]),
        "Files": count(row["files"]),
        "Size": size(row["bytes"]) if row["files"] else "empty",
    }
