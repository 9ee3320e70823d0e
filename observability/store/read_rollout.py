"""Which versions of a model ran on the fleet at an instant: each device by its last decision before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb

from observability.store.stored import StoredDecision

WITHIN = timedelta(days=1)
"""A device that decided nothing in this time before an instant does not count."""

_ROLLOUT = """
SELECT version, count(*) AS devices
FROM (
    SELECT device_id, arg_max(model_version, decided_at) AS version
    FROM decisions
    WHERE decided_at > $since AND decided_at <= $until
        AND decision_type || '' = $type AND model_name || '' = $name
    GROUP BY device_id
)
GROUP BY version
ORDER BY devices DESC, version
"""


@dataclass(frozen=True, slots=True)
class VersionShare:
    """A model version and how many devices last decided by it."""

    version: str
    devices: int


@dataclass(frozen=True, slots=True)
class Rollout:
    """The versions of a model on the devices that decided between `since` and `until`, UTC.

    As known now: what was decided then and arrived later counts. Most devices first.
    """

    model: str
    version: str
    versions: tuple[VersionShare, ...]
    since: datetime
    until: datetime

    @property
    def devices(self) -> int:
        """How many devices decided."""
        return sum(each.devices for each in self.versions)

    @property
    def on_version(self) -> int:
        """How many of them by the version of the decision."""
        return sum(each.devices for each in self.versions if each.version == self.version)


def rollout_at(con: duckdb.DuckDBPyConnection, stored: StoredDecision) -> Rollout:
    """The versions of the decision's model over the day before it."""
    model = stored.decision.model
    since, until = stored.decided_at - WITHIN, stored.decided_at
    asked = {"since": since, "until": until, "type": stored.decision.type, "name": model.name}
    found = con.execute(_ROLLOUT, asked).fetchall()
    versions = tuple(VersionShare(version, devices) for version, devices in found)
    return Rollout(model.name, model.version, versions, since, until)
