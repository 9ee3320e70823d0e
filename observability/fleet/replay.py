"""Replays a recorded data set as a fleet, through the real recorder, spool, sender and receiver.

The invariant: a store never holds the same recorded decision twice, and a replay ends well only if
the store holds everything that was sent.
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import polars as pl
from tqdm import tqdm

from observability.fleet import recorded
from observability.fleet.device import rows
from observability.fleet.link import Link, ShipmentError
from observability.fleet.receiver import recorded_receiver
from observability.fleet.spec import ReplaySpec
from observability.fleet.timeline import Counts, Timeline
from observability.fleet.training import Trained, train
from observability.fleet.uplink import Uplink
from observability.models import registry
from observability.models.artifact import load_model
from observability.models.reference import encode
from observability.store import lake
from observability.store.location import Store
from traces import ModelVersion
from traces.errors import WrongUse


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did. `window` is the recorded time of the first and last decision, UTC.

    `blocked_by` counts block verdicts by gate, in the order of the spec. `replay_s` is deciding and
    shipping, `wall_s` all of it, with reading and training.
    """

    spec: str
    decision_type: str
    model: ModelVersion
    model_registered: bool
    devices: int
    window: tuple[datetime, datetime]
    decisions: int
    outcomes: int
    dispositions: Mapping[str, int]
    blocked_by: Mapping[str, int]
    replay_s: float
    wall_s: float

    @property
    def decisions_per_s(self) -> float:
        """Decisions, with their outcomes, acknowledged a second."""
        return self.decisions / self.replay_s

    @property
    def spans_per_s(self) -> float:
        """Decisions and outcomes, acknowledged, a second."""
        return (self.decisions + self.outcomes) / self.replay_s


def replay(
    spec: ReplaySpec,
    data: Path,
    *,
    store: Store | None = None,
    endpoint: str | None = None,
    limit: int | None = None,
    progress: bool = True,
) -> Replayed:
    """Train, register the model, decide on the recorded rows and send outcomes when they became known.

    With `store` alone, a receiver on recorded time writes to it, made anew if there is none. With
    `endpoint` spans go there, and the model is registered in `store` if that is one. `limit` counts
    decisions.
    Raises SpecError, WrongUse, StoreError or ShipmentError.
    """
    began = time.monotonic()
    _check_use(spec, store, endpoint, limit)
    sources = recorded.read(spec, data)
    decisions = sources.decisions.head(limit) if limit else sources.decisions
    first_ns = decisions["decided_at"].dt.epoch("us")[0] * 1000
    with tempfile.TemporaryDirectory() as folder:
        trained = train(spec.model, sources.training, Path(folder))
        scores = load_model(trained.artifact).score(encode(decisions, spec.model.features)).tolist()
        with _receiver(store, endpoint, first_ns) as link:
            registered = store is not None and lake.is_store(store)
            if store is not None and registered:
                _register(store, spec, trained)
            started = time.monotonic()
            with contextlib.closing(Uplink(link, Path(folder) / "devices")) as uplink:
                counts = _live(spec, decisions, scores, trained.version, uplink, progress=progress)
            replay_s = time.monotonic() - started
    if store is not None and endpoint is None:
        _check_stored(store, spec, counts)
    return Replayed(
        spec=spec.name,
        decision_type=spec.decision_type,
        model=trained.version,
        model_registered=registered,
        devices=decisions["device_id"].n_unique(),
        window=(decisions["decided_at"][0], decisions["decided_at"][-1]),
        decisions=counts.decisions,
        outcomes=counts.outcomes,
        dispositions=dict(counts.dispositions.most_common()),
        blocked_by={gate.name: counts.blocked_by[gate.name] for gate in spec.gates},
        replay_s=replay_s,
        wall_s=time.monotonic() - began,
    )


def _check_use(
    spec: ReplaySpec, store: Store | None, endpoint: str | None, limit: int | None
) -> None:
    if store is None and endpoint is None:
        raise WrongUse(
            "neither a store nor an endpoint", "one of them", "--store DIR or --endpoint URL"
        )
    if limit is not None and limit < 1:
        raise WrongUse(f"--limit {limit}", "at least 1 decision")
    if endpoint is not None:
        _check_listens(endpoint)
    if store is None or endpoint is not None or not lake.is_store(store):
        return
    with lake.connect(store) as con:
        if lake.clock_kind(con) != "recorded":
            raise WrongUse(
                f"{store}, a store of real time", "one of recorded time", "give another --store"
            )
        query = "SELECT 1 FROM decisions WHERE decision_type = ? LIMIT 1"
        if con.execute(query, [spec.decision_type]).fetchone():
            raise WrongUse(
                f"decisions of {spec.decision_type} in {store}",
                "a store without them: a second replay would count everything twice",
                "delete the folder, or give another --store",
            )


def _check_listens(endpoint: str) -> None:
    """Raise at once where nobody listens: the exporter would try for minutes, after the training."""
    expected = "the address of a running receiver, such as http://127.0.0.1:8501"
    try:
        parts = urlsplit(endpoint)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        socket.create_connection((parts.hostname or "", port), timeout=5).close()
    except (KeyError, ValueError, OSError) as error:
        raise WrongUse(
            f"nobody at {endpoint!r} ({error})", expected, "`whence serve` starts one"
        ) from error


@contextlib.contextmanager
def _receiver(store: Store | None, endpoint: str | None, first_ns: int) -> Iterator[Link]:
    if endpoint is not None:
        yield Link(endpoint)
    else:
        assert store is not None  # noqa: S101 - _check_use
        with recorded_receiver(store, first_ns) as link:
            yield link


def _register(store: Store, spec: ReplaySpec, trained: Trained) -> None:
    registry.add(
        store,
        trained.artifact,
        name=spec.model.name,
        version=spec.model.version,
        features=spec.model.features,
        reference=trained.reference,
        threshold=spec.model.threshold,
    )


def _live(
    spec: ReplaySpec,
    decisions: pl.DataFrame,
    scores: Iterable[float],
    model: ModelVersion,
    uplink: Uplink,
    *,
    progress: bool,
) -> Counts:
    """Let the fleet live through the recorded time; returns when every span is acknowledged."""
    total = len(decisions) + decisions["label"].count()
    with tqdm(total=total, unit=" spans", disable=not progress, desc=spec.name) as bar:
        timeline = Timeline(spec, model, uplink, bar.update)
        timeline.live(zip(rows(spec, decisions), scores, strict=True))
    return timeline.counts


def _check_stored(store: Store, spec: ReplaySpec, counts: Counts) -> None:
    """Raise where the store does not hold what was acknowledged: a rejected span says so nowhere else."""
    with lake.connect(store) as con:
        row = con.execute(
            """
            WITH ours AS (SELECT device_id, decision_id FROM decisions WHERE decision_type = ?)
            SELECT (SELECT count(*) FROM ours),
                (SELECT count(*) FROM outcomes SEMI JOIN ours USING (device_id, decision_id))
            """,
            [spec.decision_type],
        ).fetchone()
    if row != (counts.decisions, counts.outcomes):
        raise ShipmentError(
            f"{row} decisions and outcomes in {store}",
            f"{(counts.decisions, counts.outcomes)}, as acknowledged",
            "see its table `rejects`",
        )
