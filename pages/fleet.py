"""Fleet: is anything wrong now?"""

from __future__ import annotations

from datetime import UTC, datetime

from observability.store.read_attention import Concern, concerns, verdict
from observability.store.read_fleet import Fleet
from pages import components, reads, routes, tables, time_range
from pages.components import Tile
from pages.format import ago, count, instant, many, of, per, share


def main() -> None:
    """Draw the page."""
    freshness = reads.current()
    with components.header(freshness):
        time_range.control(freshness)
    now = freshness.now(datetime.now(UTC))
    fleet = reads.fleet_over(time_range.chosen(freshness))
    if fleet.devices.is_empty() and fleet.rejects.is_empty():
        components.sentence("No device has decided yet")
        components.no_data("Point a recorder at this address, or run `whence replay`.")
        return
    found = concerns(fleet, now, recorded=freshness.recorded)
    components.sentence(verdict(fleet, found, time_range.words(freshness)))
    components.tiles(_tiles(fleet, now))
    if found:
        components.section("Needs attention" if any(one.wrong for one in found) else "To look at")
        components.concern_list(found, _open)
    components.section("Devices", "newest decision first")
    row = components.grid(**tables.devices(fleet.devices), key="fleet_devices")
    if row is not None:
        routes.go(routes.DEVICE, id=fleet.devices["device_id"][row])


def _tiles(fleet: Fleet, now: datetime) -> tuple[Tile, ...]:
    totals = fleet.totals
    newest = totals.newest_decided_at
    return (
        Tile(
            "Devices that decided",
            count(totals.devices),
            f"of {many(fleet.devices.height, 'device')}",
        ),
        Tile("Decisions", count(totals.decisions), per(totals.decisions, totals.devices, "device")),
        Tile(
            "Blocked",
            share(totals.blocked, totals.decisions),
            of(totals.blocked, totals.decisions),
            "A gate that blocks is a gate at work, not a failure.",
        ),
        Tile(
            "Outcomes known",
            share(totals.known, totals.decisions),
            of(totals.known, totals.decisions),
        ),
        Tile(
            "Newest decision",
            "–" if newest is None else ago((now - newest).total_seconds()),
            "" if newest is None else instant(newest),
        ),
    )


def _open(concern: Concern) -> None:
    routes.go(routes.DECISIONS, **concern.filters)


main()
