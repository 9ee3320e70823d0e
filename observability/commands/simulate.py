"""`whence simulate`: a believable fleet with troubles whose truth is known."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tqdm import tqdm

from observability.fleet.link import Link, link_to
from observability.fleet.receiver import recorded_receiver
from observability.fleet.simulate import SimulatedFleet
from observability.fleet.world.trained import TrainedModel
from observability.fleet.world.world import World
from observability.models import registry
from observability.store import lake
from observability.store.location import Location
from traces.errors import WrongUse


def run(arguments: argparse.Namespace) -> int:
    """Fill a store, or a running receiver, with a fleet's history; with --live go on until stopped.

    Raises WrongUse, StoreError and ShipmentError.
    """
    if arguments.live and not arguments.endpoint:
        raise WrongUse(
            "--live without --endpoint", "a receiver that runs", "start `whence serve` first"
        )
    store: Location = arguments.store
    started = time.monotonic()
    world = World(arguments.seed, arguments.days, arguments.devices, start=_start(arguments))
    with contextlib.ExitStack() as stack:
        link = stack.enter_context(_receiver(store, arguments.endpoint, world.start))
        _refuse_filled(store)
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        models = world.train(work)
        for model in models:
            _register(store, model)
        truth = Path(arguments.truth) if arguments.truth else store.local / "truth.json"
        truth.write_text(world.truth_json() + "\n")
        link.keep_time("recorded")
        fleet = stack.enter_context(
            contextlib.closing(SimulatedFleet(world, link, work / "devices"))
        )
        with tqdm(desc="history", unit=" spans", file=sys.stderr, disable=None) as bar:
            counts = fleet.live_through(world.events(models), bar.update)
        _report(arguments, world, counts, truth, time.monotonic() - started)
        if arguments.live:
            link.keep_time("system")
            _go_on(world, models, fleet)
    return 0


def _start(arguments: argparse.Namespace) -> datetime:
    """The history ends now where it goes on live, else at the last midnight UTC; or as given."""
    if arguments.start:
        try:
            return datetime.fromisoformat(arguments.start).astimezone(UTC)
        except ValueError as error:
            raise WrongUse(f"--start {arguments.start!r}", "ISO 8601 with Z") from error
    now = datetime.now(UTC).replace(microsecond=0)
    end = now if arguments.live else now.replace(hour=0, minute=0, second=0)
    return end - timedelta(days=arguments.days)


@contextlib.contextmanager
def _receiver(store: Location, endpoint: str | None, start: datetime) -> Iterator[Link]:
    if endpoint:
        yield link_to(store, endpoint)
        return
    with recorded_receiver(store, int(start.timestamp()) * 10**9) as link:
        yield link


def _refuse_filled(store: Location) -> None:
    with lake.connect(store) as con:
        held = con.sql("SELECT count(*) FROM decisions").fetchall()[0][0]
    if held:
        raise WrongUse(f"{held:,} decisions in {store}", "an empty store", "give another --store")


def _register(store: Location, model: TrainedModel) -> None:
    registry.add(
        store,
        model.artifact,
        name=model.version.name,
        version=model.version.version,
        features=model.features,
        reference=model.reference,
        threshold=model.threshold,
    )


def _go_on(world: World, models: tuple[TrainedModel, ...], fleet: SimulatedFleet) -> None:
    since = int(world.end.timestamp()) * 10**9
    print("live: decisions go on in real time; Ctrl-C ends it", file=sys.stderr, flush=True)
    with tqdm(desc="live", unit=" spans", file=sys.stderr, disable=None) as bar:
        for count in fleet.live_on(world.live(models, since)):
            bar.update(count)


def _report(
    arguments: argparse.Namespace, world: World, counts: Counter[str], truth: Path, seconds: float
) -> None:
    said = {
        "decisions": counts["decisions"],
        "outcomes": counts["outcomes"],
        "devices": len(world.devices),
        "from": world.start.isoformat().replace("+00:00", "Z"),
        "to": world.end.isoformat().replace("+00:00", "Z"),
        "troubles": len(world.truth()),
        "truth": str(truth),
        "seconds": round(seconds, 1),
    }
    if arguments.json:
        print(json.dumps(said))
        return
    print(
        f"{said['decisions']:,} decisions and {said['outcomes']:,} outcomes of {said['devices']} devices, "
        f"{said['from']} to {said['to']}, in {said['seconds']} s; {said['troubles']} troubles are in {truth}",
        flush=True,
    )
