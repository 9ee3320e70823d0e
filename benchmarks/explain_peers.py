"""The peers of explain.py, run in their own environment (peers.sh): a folder of arrays in, JSON out.

It trains the model that all are measured on, since explainerdashboard takes a live estimator only.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROUNDS = 3
CONTRIBUTIONS = 30


def least_s(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """CPU seconds of the cheapest of several rounds."""
    took = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return min(took)


def main(folder: Path, trees: int, count: int) -> None:
    """Train, measure, print."""
    import lightgbm
    import pandas as pd
    from explainerdashboard import ClassifierExplainer
    from woodelf import WoodelfExplainer

    rows = pd.DataFrame(np.load(folder / "rows.npy")).add_prefix("s")
    labels = np.load(folder / "labels.npy")
    model = lightgbm.LGBMClassifier(
        n_estimators=trees, max_depth=6, num_leaves=64, n_jobs=1, random_state=0, verbosity=-1
    ).fit(rows, labels)
    model.booster_.save_model(folder / f"model-{trees}.txt")
    background, asked = rows.iloc[:1000], rows.iloc[:count]
    interventional = WoodelfExplainer(model.booster_, background)
    found = {
        "woodelf_interventional": count
        / least_s(lambda: interventional.shap_values(asked, verbose=False)),
    }
    values = interventional.shap_values(rows.iloc[:200], verbose=False)
    np.save(folder / f"woodelf-{trees}.npy", np.asarray(values))
    dashboard = ClassifierExplainer(model, rows.iloc[:1000], pd.Series(labels[:1000]))
    dashboard.get_contrib_df(X_row=rows.iloc[[0]])
    each = least_s(
        lambda: [dashboard.get_contrib_df(X_row=rows.iloc[[n]]) for n in range(CONTRIBUTIONS)]
    )
    found["explainerdashboard_row_ms"] = each / CONTRIBUTIONS * 1e3
    print(json.dumps(found))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
