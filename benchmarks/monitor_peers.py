"""The peers of monitoring, each in its own environment (peers.sh), by their own defaults.

    python monitor_peers.py judge PEER FOLDER BASELINE_DAYS WINDOWS

FOLDER/values.npy is `(n_devices, n_features, n_days, n_values)`, FOLDER/flagged.npy becomes `(n_devices,
n_features, n_windows)`: what the peer flags, with the baseline days as reference.

    python monitor_peers.py time PEER FOLDER DAYS

FOLDER/reference.npy and current.npy, `(n_rows, n_features)`, are of so many days each. Prints seconds of the
processor, all threads together, and of the clock, that the peer takes for the second beside the first: by
its defaults, and for the statistics that Whence gives (of which NannyML has no PSI).
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np


def evidently(reference: np.ndarray, current: np.ndarray, days: int) -> np.ndarray:
    """The preset's report of each day: what it flags, `(n_features, n_days)`."""
    usual = _frame(reference)
    flagged = np.zeros((current.shape[1], days), dtype=bool)
    for place, day in enumerate(np.split(current, days)):
        for metric in _report(_frame(day), usual, ()):
            asked = metric["config"]
            if "ValueDrift" not in asked["type"]:
                continue
            distance = "p_value" not in asked["method"]
            far = metric["value"] >= asked["threshold"]
            flagged[int(asked["column"][1:]), place] = far if distance else not far
    return flagged


def _report(now, usual, methods: tuple[str, ...]) -> list[dict]:
    """The metrics of a report: the preset's, or these methods of every column."""
    from evidently import Report
    from evidently.metrics import ValueDrift
    from evidently.presets import DataDriftPreset

    asked = [ValueDrift(column=name, method=one) for name in now for one in methods]
    return Report(asked or [DataDriftPreset()]).run(now, usual).dict()["metrics"]


def nannyml(reference: np.ndarray, current: np.ndarray, days: int) -> np.ndarray:
    """The univariate calculator in chunks of a day: what it flags, `(n_features, n_days)`."""
    calculated, names = _calculated(reference, current, days, {})
    table = calculated.filter(period="analysis").to_df()
    return np.stack([table[(name, "jensen_shannon", "alert")].to_numpy(bool) for name in names])


def _calculated(reference: np.ndarray, current: np.ndarray, days: int, methods: dict):
    """The calculator's result by day, and the columns."""
    import pandas as pd
    from nannyml import UnivariateDriftCalculator

    each = len(current) // days
    seconds = (np.arange(-len(reference), len(current)) + 0.5) * 86_400 / each
    at = pd.Timestamp("2024-01-01") + pd.to_timedelta(seconds, unit="s")
    rows = _frame(np.concatenate([reference, current])).assign(at=at)
    names = [name for name in rows if name != "at"]
    calculator = UnivariateDriftCalculator(
        names, timestamp_column_name="at", chunk_period="D", **methods
    )
    calculator.fit(rows[: len(reference)])
    return calculator.calculate(rows[len(reference) :]), names


def _frame(rows: np.ndarray):
    import pandas as pd

    return pd.DataFrame(rows).add_prefix("s")


def evidently_once(reference: np.ndarray, current: np.ndarray, _: int, default: bool) -> None:
    """One report of all days."""
    methods = () if default else ("psi", "jensenshannon", "ks", "wasserstein")
    _report(_frame(current), _frame(reference), methods)


def nannyml_once(reference: np.ndarray, current: np.ndarray, days: int, default: bool) -> None:
    """Fit and calculate."""
    methods = ["jensen_shannon", "kolmogorov_smirnov", "wasserstein"]
    _calculated(reference, current, days, {} if default else {"continuous_methods": methods})


PEERS = {"evidently": evidently, "nannyml": nannyml}
TIMED = {"evidently": evidently_once, "nannyml": nannyml_once}


def judge(name: str, folder: Path, baseline_days: int, windows: int) -> None:
    """Judge every device."""
    flagged = []
    for device in np.load(folder / "values.npy"):
        rows = device.transpose(1, 2, 0)[: baseline_days + windows]
        usual, now = (part.reshape(-1, len(device)) for part in np.split(rows, [baseline_days]))
        flagged.append(PEERS[name](usual, now, windows))
    np.save(folder / "flagged.npy", np.stack(flagged))


def measure(name: str, folder: Path, days: int) -> None:
    """Both works once with a little, so that all is imported, then with all: {work: (CPU s, wall s)}."""
    halves = [np.load(folder / f"{half}.npy") for half in ("reference", "current")]
    found = {}
    for work in ("default", "statistics"):
        TIMED[name](*(half[: 40 * days] for half in halves), days, work == "default")
        cpu, wall = time.process_time(), time.perf_counter()
        TIMED[name](*halves, days, work == "default")
        found[work] = time.process_time() - cpu, time.perf_counter() - wall
    print(json.dumps(found))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    work, peer, given, *days = sys.argv[1:]
    {"judge": judge, "time": measure}[work](peer, Path(given), *map(int, days))
