"""The peers of monitor.py, each in its own environment (peers.sh): values in, what they flag out.

    python monitor_peers.py PEER FOLDER BASELINE_DAYS WINDOWS

FOLDER/values.npy is `(n_devices, n_features, n_days, n_values)`, FOLDER/flagged.npy becomes `(n_devices,
n_features, n_windows)`. Every rule is the peer's own default, with the baseline days as reference.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np


def evidently(device: np.ndarray, baseline_days: int, windows: int) -> np.ndarray:
    """The preset's report of each day."""
    import pandas as pd
    from evidently import Report
    from evidently.presets import DataDriftPreset

    columns = device.reshape(len(device), device.shape[1], -1)
    reference = pd.DataFrame(columns[:, :baseline_days].reshape(len(device), -1).T).add_prefix("s")
    flagged = np.zeros((len(device), windows), dtype=bool)
    for window in range(windows):
        day = pd.DataFrame(columns[:, baseline_days + window].T).add_prefix("s")
        metrics = Report([DataDriftPreset()]).run(day, reference).dict()["metrics"]
        for metric in metrics:
            asked = metric["config"]
            if "ValueDrift" not in asked["type"]:
                continue
            distance = "p_value" not in asked["method"]
            far = metric["value"] >= asked["threshold"]
            flagged[int(asked["column"][1:]), window] = far if distance else not far
    return flagged


def nannyml(device: np.ndarray, baseline_days: int, windows: int) -> np.ndarray:
    """The univariate calculator, in chunks of a day."""
    import pandas as pd
    from nannyml import UnivariateDriftCalculator

    names = [f"s{n}" for n in range(len(device))]
    n_days, n_values = device.shape[1:]
    rows = pd.DataFrame(device.reshape(len(device), -1).T, columns=names)
    at_s = np.arange(n_days)[:, None] * 86_400 + np.arange(n_values) * (86_400 / n_values)
    rows["at"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(at_s.ravel(), unit="s")
    calculator = UnivariateDriftCalculator(names, timestamp_column_name="at", chunk_period="D")
    split = baseline_days * n_values
    calculator.fit(rows[:split])
    found = calculator.calculate(rows[split : split + windows * n_values]).filter(period="analysis")
    table = found.to_df()
    return np.stack([table[(name, "jensen_shannon", "alert")].to_numpy(bool) for name in names])


def main(name: str, folder: Path, baseline_days: int, windows: int) -> None:
    """Judge every device."""
    judge = {"evidently": evidently, "nannyml": nannyml}[name]
    values = np.load(folder / "values.npy")
    np.save(
        folder / "flagged.npy",
        np.stack([judge(device, baseline_days, windows) for device in values]),
    )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
