"""What is wrong in a fleet now, as counts: what an alert may come of, cheap enough to ask each minute."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb
import polars as pl

from observability.store.read import Window, frame, one
from observability.store.read_chains import Chains, chains
from observability.store.read_rollups import pulses, rollup

_MODELS = """
SELECT model_name || ' ' || model_version AS model, count(*) AS decisions,
    count(DISTINCT device_id) AS devices, min(decided_at) AS first_at,
    bool_or((model_name, model_version) IN (SELECT (name, version) FROM models)) AS other_digest
FROM decisions
WHERE ($start IS NULL OR decided_at >= $start) AND ($end IS NULL OR decided_at < $end)
    AND (model_name, model_version, model_digest) NOT IN (SELECT (name, version, digest) FROM models)
GROUP BY model
ORDER BY model
"""

_REFUSED = """
SELECT count(*) AS spans, count(DISTINCT nullif(device_id, '')) AS devices,
    min(received_at) AS first_at
FROM {table}
WHERE ($start IS NULL OR received_at >= $start) AND ($end IS NULL OR received_at < $end)
"""


@dataclass(frozen=True, slots=True)
class Refused:
    """Spans that could not be stored as they came, of how many known devices, and since when (UTC)."""

    spans: int
    devices: int
    first_at: datetime | None


@dataclass(frozen=True, slots=True)
class Faults:
    """What may be wrong.

    `pulses`, each device over all time. `models`
    that decided in the window without a registered artifact: model, decisions, devices, first_at,
    other_digest. `rejects` and `conflicts` of the window; `chains` as of now.
    """

    pulses: pl.DataFrame
    models: pl.DataFrame
    rejects: Refused
    conflicts: Refused
    chains: Chains


def faults(con: duckdb.DuckDBPyConnection, window: Window) -> Faults:
    """What may be wrong over a window; rejects and conflicts go by receipt."""
    chosen = window.parameters()
    return Faults(
        pulses=pulses(rollup(con)),
        models=frame(con, _MODELS, chosen),
        rejects=Refused(**one(con, _REFUSED.format(table="rejects"), chosen)),
        conflicts=Refused(**one(con, _REFUSED.format(table="conflicts"), chosen)),
        chains=chains(con),
    )
