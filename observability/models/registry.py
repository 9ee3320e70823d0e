"""The registry: which model versions a store knows, with artifact, features and reference.

Owns where artifacts and references lie below a store's files. A file is in place, durably, before a
row names it; what is registered once under a name, version and digest never changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from observability.models.artifact import model_of, read_file
from observability.models.features import Feature, check_names
from observability.models.link import Link
from observability.models.model import Model
from observability.models.reference import Reference, describe
from observability.store import append, lake
from observability.store.kept import keep, kept
from observability.store.location import Location, Store, location_of
from observability.store.schema import arrow_table
from traces import ModelVersion
from traces.errors import ModelError

# Read whole and narrowed here: these tables are tiny, and a filter in DuckLake costs 10 ms of pruning.
_MODELS = """
SELECT name, version, digest, artifact, features, link, threshold, received_at
FROM models ORDER BY name, received_at, version, digest
"""
_REFERENCES = """
SELECT name, version, digest, reference_id, row_count, device_count, first_at, last_at
FROM model_references ORDER BY received_at
"""


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A model version that the store knows. `threshold` is in the unit of the score, None = none given.

    `artifact_path` and `reference_path` are files of this machine; times UTC.
    """

    version: ModelVersion
    artifact: str
    artifact_path: Path
    features: tuple[Feature, ...]
    link: Link
    threshold: float | None
    reference: Reference | None
    reference_path: Path | None
    registered_at: datetime


def add(
    store: Store,
    artifact: Path,
    *,
    name: str,
    version: str,
    features: Sequence[Feature] = (),
    reference: Path | None = None,
    threshold: float | None = None,
) -> RegisteredModel:
    """Register a model version: its file, its features and its reference.

    Without `features`, those that the artifact names. The same again adds nothing; a further
    reference becomes the current one. Raises ModelError where a file is not what it should be, or
    where this name, version and digest are registered otherwise.
    """
    store = location_of(store)
    content = read_file(artifact, "a model file")
    model = model_of(content, str(artifact))
    chosen = _checked_features(model, features, str(artifact))
    _check_names(name, version)
    _check_threshold(model, threshold)
    key = ModelVersion(name, version, model.digest)
    held = None if reference is None else read_file(reference, "a Parquet file of inputs")
    described = None if held is None else describe(held, chosen, str(reference))
    with lake.connect(store) as con:
        known = find(con, store, key)
    if known is not None:
        _refuse_change(known, chosen, threshold)
    keep(store, _artifact(model.digest), content)
    if held is not None and described is not None:
        keep(store, _reference(described.reference_id), held)
    rows = {} if known else {"models": _model_row(key, model, chosen, threshold)}
    current = known.reference.reference_id if known and known.reference else None
    if described is not None and described.reference_id != current:
        rows["model_references"] = _reference_row(key, described)
    if known is not None and not rows:
        return known
    append.append(store, {table: arrow_table(table, [row]) for table, row in rows.items()})
    with lake.connect(store) as con:
        added = find(con, store, key)
    if added is None:
        raise ModelError(
            f"{name} {version} not in {store} after adding it", "it", "a bug: report it"
        )
    return added


def find(
    con: duckdb.DuckDBPyConnection, store: Store, version: ModelVersion
) -> RegisteredModel | None:
    """The registered model of exactly this name, version and digest; None where there is none."""
    found = registered(
        con, store, name=version.name, version=version.version, digest=version.digest
    )
    return found[0] if found else None


def registered(
    con: duckdb.DuckDBPyConnection,
    store: Store,
    *,
    name: str | None = None,
    version: str | None = None,
    digest: str | None = None,
) -> tuple[RegisteredModel, ...]:
    """All registered models, by name and time of registration; None asks nothing."""
    rows = con.execute(_REFERENCES).fetchall()
    references = {row[:3]: _described(row) for row in rows}
    asked = (name, version, digest)
    return tuple(
        _registered(row, references.get(row[:3]), location_of(store))
        for row in con.execute(_MODELS).fetchall()
        if all(wanted in (None, given) for wanted, given in zip(asked, row[:3], strict=True))
    )


def with_reference(
    con: duckdb.DuckDBPyConnection, store: Store, model: RegisteredModel, reference_id: str
) -> RegisteredModel:
    """The model with one of its references, also if another is the current one. Raises ModelError."""
    key = (model.version.name, model.version.version, model.version.digest)
    held = {row[3]: row for row in con.execute(_REFERENCES).fetchall() if row[:3] == key}
    if reference_id not in held:
        raise ModelError(
            f"no reference {reference_id} of {key[0]} {key[1]}", "one that was registered with it"
        )
    path = kept(location_of(store), _reference(reference_id))
    return replace(model, reference=_described(held[reference_id]), reference_path=path)


def why_absent(con: duckdb.DuckDBPyConnection, store: Store, version: ModelVersion) -> str:
    """One line for a model that `find` does not find: unknown, or known with another digest."""
    same = registered(con, store, name=version.name, version=version.version)
    if not same:
        return (
            f"no model {version.name} {version.version} is registered here; "
            "`whence models add` registers it"
        )
    digests = ", ".join(_short(model.version.digest) for model in same)
    return (
        "the model here is not what the device ran, the digest differs: the device ran "
        f"{version.name} {version.version} {_short(version.digest)}, registered here is {digests}"
    )


def _artifact(digest: str) -> str:
    return f"models/{digest.removeprefix('sha256:')}/model.txt"


def _reference(reference_id: str) -> str:
    return f"references/{reference_id.removeprefix('sha256:')}.parquet"


def _checked_features(model: Model, features: Sequence[Feature], where: str) -> tuple[Feature, ...]:
    """The given features if they are the artifact's, in its order; else its own. Raises ModelError."""
    own = model.feature_names
    if not features:
        return tuple(Feature(name) for name in own)
    given = [feature.name for feature in features]
    check_names(features, "the feature list")
    generic = all(name == f"Column_{number}" for number, name in enumerate(own))
    if len(given) != len(own):
        raise ModelError(f"{len(given)} features for {where}", f"{len(own)}: {', '.join(own)}")
    if not generic and tuple(name.replace(" ", "_") for name in given) != own:
        raise ModelError(
            f"features {', '.join(given)} for {where}",
            ", ".join(own),
            "list them by the artifact's names and in its order",
        )
    return tuple(features)


def _check_names(name: str, version: str) -> None:
    if not name.strip() or not version.strip():
        raise ModelError(f"name {name!r} and version {version!r}", "texts that are not empty")


def _check_threshold(model: Model, threshold: float | None) -> None:
    if threshold is not None and model.link == "logit" and not 0 < threshold < 1:
        raise ModelError(
            f"threshold {threshold:g} for a model whose score is a probability",
            "a threshold between 0 and 1",
        )


def _refuse_change(
    known: RegisteredModel, features: Sequence[Feature], threshold: float | None
) -> None:
    if known.features != tuple(features) or known.threshold != threshold:
        what = "threshold" if known.features == tuple(features) else "features"
        raise ModelError(
            f"another {what} for {known.version.name} {known.version.version}, which is registered",
            f"the same {what} again",
            "decisions refer to it as it is: register the change under a new version",
        )


def _model_row(
    key: ModelVersion,
    model: Model,
    features: Sequence[Feature],
    threshold: float | None,
) -> Mapping[str, Any]:
    return {
        "name": key.name,
        "version": key.version,
        "digest": key.digest,
        "artifact": model.artifact,
        "features": [asdict(feature) for feature in features],
        "link": model.link,
        "threshold": threshold,
    }


def _reference_row(key: ModelVersion, reference: Reference) -> Mapping[str, Any]:
    return {
        "name": key.name,
        "version": key.version,
        "digest": key.digest,
        "reference_id": reference.reference_id,
        "row_count": reference.row_count,
        "device_count": reference.device_count,
        "first_at": reference.first_at,
        "last_at": reference.last_at,
    }


def _registered(
    row: tuple[Any, ...], reference: Reference | None, store: Location
) -> RegisteredModel:
    name, version, digest, artifact, features, link, threshold, registered_at = row
    return RegisteredModel(
        version=ModelVersion(name, version, digest),
        artifact=artifact,
        artifact_path=kept(store, _artifact(digest)),
        features=tuple(map(_feature, features)),
        link=link,
        threshold=threshold,
        reference=reference,
        reference_path=kept(store, _reference(reference.reference_id)) if reference else None,
        registered_at=registered_at.astimezone(UTC),
    )


def _described(row: tuple[Any, ...]) -> Reference:
    return Reference(row[3], row[4], row[5], _utc(row[6]), _utc(row[7]))


def _feature(stored: Mapping[str, Any]) -> Feature:
    """A feature as stored; before version 4 of the store it had no more than levels."""
    actionable, player = stored.get("actionable"), stored.get("player")
    return Feature(
        stored["name"],
        stored["unit"],
        tuple(stored["levels"]),
        low=stored.get("low"),
        high=stored.get("high"),
        actionable=actionable is not False,
        player=player or "",
    )


def _short(digest: str) -> str:
    return digest[:19]


def _utc(at: datetime | None) -> datetime | None:
    return None if at is None else at.astimezone(UTC)
