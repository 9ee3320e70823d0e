"""The reference of a world's models: all inputs of the baseline, as Parquet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl

from observability.fleet.world.physics import Machines, simulate
from observability.fleet.world.readings import as_transmitted, names


def write_reference(fleet: Machines, epoch_s: int, days: int, paths: Mapping[str, Path]) -> None:
    """Write device_id, decided_at (UTC) and the inputs of the first `days`, per decision type.

    The baseline has no trouble, so the readings are the true ones.
    """
    blocks = [simulate(fleet, epoch_s, number) for number in range(days)]
    devices = np.array([device.device_id for device in fleet.devices])
    for type_, path in paths.items():
        values = np.concatenate([block.readings[type_] for block in blocks])
        at_ns = np.concatenate([block.decided_ns[type_] for block in blocks])
        read = as_transmitted(type_, values).reshape(-1, values.shape[-1])
        frame = pl.DataFrame(
            {
                "device_id": np.tile(devices, len(at_ns)).tolist(),
                "decided_at": pl.Series(at_ns.reshape(-1) // 1000).cast(pl.Datetime("us", "UTC")),
                **{name: read[:, at] for at, name in enumerate(names(type_))},
            }
        )
        part = path.with_suffix(".part")
        frame.sort("decided_at", "device_id").write_parquet(part)
        part.replace(path)
