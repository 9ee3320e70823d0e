"""Troubles of inputs as findings: what is wrong and still stands calls a person, once."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator

import duckdb

from observability.models.registry import registered
from observability.monitor.baseline import usual_of
from observability.monitor.findings import Finding
from observability.monitor.triage import Trouble, triage, watch_all
from observability.store.location import Store
from observability.store.read_drift import decided_types

KIND = "drift"
NAMED = 3
"""Devices that a reason names at most."""


def troubles_now(con: duckdb.DuckDBPyConnection, store: Store) -> tuple[Trouble, ...]:
    """What is wrong with the inputs of the decision types that have a reference, since its end.

    Without a reference nobody is called: a store's own first days may be anything.
    """
    referenced = {model.version for model in registered(con, store) if model.reference}
    types = [each for each in decided_types(con) if referenced.intersection(each.models)]
    usual = functools.partial(usual_of, con, store)
    return triage(con, watch_all(con, types, usual))


def drift_findings(troubles: Iterable[Trouble]) -> Iterator[Finding]:
    """The troubles that are wrong and still stand; `size` is the PSI."""
    for each in troubles:
        if each.wrong and each.to is None:
            yield Finding(
                KIND,
                each.inputs[0],
                f"{each.inputs[0]} on {_where(each)}: {each.verdict}",
                _reason(each),
                each.since,
                each.psi,
                {"psi": each.psi, "values": each.values, "devices": len(each.devices)},
                each.decision_types[0],
                each.verdict,
            )


def _where(trouble: Trouble) -> str:
    devices = trouble.devices
    if not devices:
        return "the fleet"
    more = " …" if len(devices) > NAMED else ""
    named = ", ".join(devices[:NAMED])
    return named if len(devices) == 1 else f"{len(devices)} devices ({named}{more})"


def _reason(trouble: Trouble) -> str:
    how = ""
    if trouble.unit_change is not None:
        change = trouble.unit_change
        how = f"values are {change.factor:.3g} times what they were plus {change.offset:.3g}; "
    elif trouble.broken is not None:
        how = f"{trouble.broken}; "
    elif math.isfinite(trouble.mean):
        how = f"mean {trouble.usual_mean:.4g} to {trouble.mean:.4g} {trouble.unit}".rstrip() + "; "
    return (
        f"{how}since {trouble.since:%Y-%m-%d %H:%M} UTC, against the baseline's own days, "
        f"{len(trouble.devices) or trouble.of_devices} of {trouble.of_devices} devices"
    )
