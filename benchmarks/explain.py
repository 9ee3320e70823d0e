"""What an explanation costs beside its peers: the same model and rows, in one run, in CPU time.

One decision, everything that its page shows, at a million of them: milliseconds of wall time.
Trees: shap path-dependent (LightGBM's own), shap interventional, woodelf-explainer and explainerdashboard.
Black box: shap's PermutationExplainer at equal error against all coalitions counted out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import machine
import numpy as np
import shap
from explain_decision import decision
from explain_peers import least_s

from observability.explain.attribution import Explainer, attribute, explainer
from observability.explain.enumeration import enumerated_values
from observability.explain.pattern_tables import pattern_tables
from observability.explain.permutations import sampled_values
from observability.explain.players import each_feature
from observability.fleet.world.int8 import quantise
from observability.fleet.world.mlp import train_mlp
from observability.models.artifact import load_model, model_of
from observability.models.features import Feature
from observability.models.model import Model

PEERS = machine.ROOT / ".peers" / "explain" / "bin" / "python"
FEATURES, BACKGROUND = 20, 1000
PLAYERS, BLACK_BOX_BACKGROUND = 12, 100
BARS = {
    "ratio_path_dependent": "trees_100_times_shap_path_dependent",
    "ratio_interventional": "trees_100_times_shap_interventional_100",
    "ratio_woodelf": "trees_100_times_woodelf_build_included",
    "additivity_max": "trees_100_residual",
    "shap_max_diff": "trees_100_off_shap",
    "ratio_permutation": "black_box_times_shap_at_equal_error",
    "ratio_explainerdashboard": "trees_100_times_explainerdashboard",
}
"""The figures that bars are about, by their short names; decision_ms and flip_ms have them already."""


def sample(count: int, features: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and whether to act."""
    chance = np.random.default_rng(seed)
    rows = chance.normal(size=(count, features))
    pull = rows[:, 0] + rows[:, 1] * rows[:, 2] + 0.3 * rows[:, 3:].sum(axis=1) * rows[:, 4]
    return rows, (pull + chance.normal(size=count) > 0).astype(np.float64)


def peers(folder: Path, trees: int, count: int) -> dict[str, float]:
    """What the peers reach; the model is then in the folder."""
    command = [str(PEERS), str(Path(__file__).with_name("explain_peers.py"))]
    said = subprocess.run(
        [*command, str(folder), str(trees), str(count)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True,
    )  # fmt: skip
    return json.loads(said.stdout.splitlines()[-1])


def trees_beside_peers(folder: Path, rows: np.ndarray, trees: int) -> dict[str, object]:
    """Rows per CPU-second of each, and the ratios that the bars are about."""
    machine.say(f"{trees} trees")
    theirs = peers(folder, trees, len(rows))
    model, background = load_model(folder / f"model-{trees}.txt"), rows[:BACKGROUND]
    ready = explainer(model, background)
    ready.attribute(rows[:1])
    ours = len(rows) / least_s(lambda: ready.values(rows), 5)
    build_s = least_s(lambda: pattern_tables(model.trees, background))  # pyright: ignore[reportArgumentType]
    path, exact, agreement = shap_rates(folder / f"model-{trees}.txt", ready, rows)
    one_ms = least_s(lambda: [ready.attribute(rows[n : n + 1]) for n in range(200)]) / 200 * 1e3
    woodelf = np.abs(np.load(folder / f"woodelf-{trees}.npy") - ready.attribute(rows[:200]).phi)
    with_build = len(rows) / (len(rows) / ours + build_s)
    figures = {
        "rows_per_cpu_s": round(ours),
        "build_ms": round(build_s * 1e3),
        "shap_path_dependent": round(path),
        "shap_interventional_100": round(exact),
        "woodelf": round(theirs["woodelf_interventional"]),
        "times_shap_path_dependent": round(ours / path, 1),
        "times_shap_interventional_100": round(ours / exact),
        "times_woodelf_build_included": round(with_build / theirs["woodelf_interventional"], 1),
        "residual": float(f"{ready.attribute(rows).residual.max():.1e}"),
        "off_shap": float(f"{agreement:.1e}"),
        "off_woodelf": float(f"{woodelf.max():.1e}"),
        "one_decision_ms": round(one_ms, 3),
        "explainerdashboard_row_ms": round(theirs["explainerdashboard_row_ms"], 1),
        "times_explainerdashboard": round(theirs["explainerdashboard_row_ms"] / one_ms),
    }
    return {f"trees_{trees}_{name}": value for name, value in figures.items()}


def shap_rates(artifact: Path, ready: Explainer, rows: np.ndarray) -> tuple[float, float, float]:
    """Rows per CPU-second of shap both ways, and its largest difference from ours."""
    import lightgbm

    booster = lightgbm.Booster(model_file=artifact)
    booster.params["num_threads"] = 1
    path = shap.TreeExplainer(booster, feature_perturbation="tree_path_dependent")
    path_s = least_s(lambda: path.shap_values(rows[:1000], check_additivity=False))

    def interventional(count: int) -> shap.TreeExplainer:
        masker = shap.maskers.Independent(rows[:count], max_samples=count)
        return shap.TreeExplainer(booster, masker, feature_perturbation="interventional")

    small = interventional(100)
    exact_s = least_s(lambda: small.shap_values(rows[:100], check_additivity=False))
    expected = interventional(BACKGROUND).shap_values(rows[:20], check_additivity=False)
    off = np.abs(np.asarray(expected) - ready.attribute(rows[:20]).phi).max()
    return 1000 / path_s, 100 / exact_s, float(off)


def black_box() -> Model:
    """A static int8 perceptron."""
    rows, labels = sample(4000, PLAYERS, 1)
    features = [Feature(f"s{number}") for number in range(PLAYERS)]
    return model_of(quantise(train_mlp(rows, labels, (20, 12), 7), rows, features, "1"), "int8")


def permutations_beside_shap(decisions: int) -> dict[str, object]:
    """Milliseconds per decision and relative error of both, and how much less time equal error takes."""
    machine.say("black box")
    model, (rows, _) = black_box(), sample(decisions + BLACK_BOX_BACKGROUND, PLAYERS, 2)
    background, rows = rows[:BLACK_BOX_BACKGROUND], rows[BLACK_BOX_BACKGROUND:]
    players = each_feature(PLAYERS)
    exact = enumerated_values(model, background, players, rows)[..., 0]

    def measured(work: Callable[[], np.ndarray]) -> tuple[float, float]:
        error = np.sqrt(np.mean((work() - exact) ** 2) / np.mean(exact**2))
        return least_s(work) / decisions * 1e3, float(error)

    masker = shap.maskers.Independent(background, max_samples=BLACK_BOX_BACKGROUND)
    theirs = shap.PermutationExplainer(model.margin, masker, seed=0)
    evaluations = 2 * PLAYERS + 1
    figures: dict[str, object] = {}
    products = {}
    for name, work in {
        "shap_10_pairs": lambda: theirs(rows, max_evals=10 * evaluations, silent=True).values,
        "shap_30_pairs": lambda: theirs(rows, max_evals=30 * evaluations, silent=True).values,
        "ours_200_pairs": lambda: sampled_values(model, background, players, rows, 2)[0][..., 0],
        "ours_800_pairs": lambda: sampled_values(model, background, players, rows, 8)[0][..., 0],
    }.items():
        ms, error = measured(work)
        figures[f"black_box_{name}_ms"] = round(ms, 2)
        figures[f"black_box_{name}_error"] = round(error, 3)
        products[name] = ms * error**2
    ratio = products["shap_30_pairs"] / products["ours_200_pairs"]
    found = attribute(model, rows, background)
    return figures | {
        "black_box_times_shap_at_equal_error": round(ratio, 1),
        "black_box_residual": float(f"{found.residual.max():.1e}"),
    }


def one_decision(folder: Path, quick: bool) -> dict[str, object]:
    """The explanation of one decision in a large store."""
    machine.say("one decision")
    return decision(folder, 20_000 if quick else 1_000_000, rounds=11 if quick else 41)


def main() -> None:
    """Run all parts and print a table and one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--quick", action="store_true", help="a quarter of the rows, 100 trees only"
    )
    parser.add_argument(
        "--decision", action="store_true", help="only the explanation of one decision, no peers"
    )
    arguments = parser.parse_args()
    quick, alone = arguments.quick, arguments.decision
    if alone:
        with tempfile.TemporaryDirectory() as work:
            figures = one_decision(Path(work), quick)
        machine.report(figures, "one decision, everything on its page", "duckdb", "numba")
        return
    if not PEERS.exists():
        parser.error(f"no {PEERS.relative_to(machine.ROOT)}: benchmarks/peers.sh explain makes it")
    warnings.filterwarnings("ignore", category=UserWarning, module="shap")
    rows, labels = sample(5_000 if quick else 20_000, FEATURES, 0)
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as work:
        np.save(Path(work) / "rows.npy", rows)
        np.save(Path(work) / "labels.npy", labels)
        for trees in (100,) if quick else (100, 500):
            figures |= trees_beside_peers(Path(work), rows, trees)
        figures |= one_decision(Path(work), quick)
    figures |= permutations_beside_shap(10 if quick else 40)
    figures |= {short: figures[name] for short, name in BARS.items()}
    about = f"{len(rows)} rows of {FEATURES} features, depth 6, {BACKGROUND} background rows"
    machine.report(figures, about, "lightgbm", "shap", "numba", "onnxruntime")
    if not quick:
        machine.save("explain", figures)


if __name__ == "__main__":
    main()
