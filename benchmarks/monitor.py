"""False alarms and power of the drift alarms, beside the default rules of Evidently and NannyML.

Fleets of sensors that repeat themselves, AR(1) with unit variance: one in twenty streams shifts by one
standard deviation after the baseline, the others never change. Peers judge the same days of the same
values, of fewer devices. A rule's power is the share of shifted stream-days that it flags.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cubes
import machine
import numpy as np
from monitor_beijing import beijing
from monitor_speed import speed
from scipy.signal import lfilter

from observability.monitor.calibration import calibrate
from observability.monitor.evidence import evidence

PEERS = {
    "evidently": "DataDriftPreset's report of each device and day, Wasserstein over 0.1",
    "nannyml": "UnivariateDriftCalculator by day, Jensen-Shannon over baseline mean + 3 sd",
}
BASELINE_DAYS, WINDOWS, FEATURES, BINS = 28, 30, 20, 10
SPEED_DECISIONS, HEATMAP_DECISIONS = 1_000_000, 10_000_000


@dataclass(frozen=True, slots=True)
class World:
    """Sensors of one kind: correlation from one value to the next, values a day."""

    name: str
    phi: float
    values: int


WORLDS = (World("phi90", 0.9, 200), World("phi99", 0.99, 1440))


@dataclass(frozen=True, slots=True)
class Size:
    """How much is simulated, and how much of it each peer judges: devices and windows."""

    devices: int
    seeds: int
    peers: dict[str, tuple[int, int]]


FULL = Size(100, 3, {"evidently": (5, WINDOWS), "nannyml": (20, WINDOWS)})
QUICK = Size(20, 1, {"evidently": (1, 1), "nannyml": (1, WINDOWS)})


def shifted(devices: int) -> np.ndarray:
    """Which streams shift, `(n_devices, n_features)`: one of each device."""
    return np.arange(devices)[:, None] % FEATURES == np.arange(FEATURES)[None]


def sensors(world: World, devices: int, seed: int) -> Iterator[np.ndarray]:
    """The values of each feature in turn, `(n_devices, n_days * n_values)`."""
    chance = np.random.default_rng(seed)
    length = (BASELINE_DAYS + WINDOWS) * world.values
    for shift in shifted(devices).T:
        noise = chance.standard_normal((devices, length), dtype=np.float32)
        noise[:, 1:] *= np.sqrt(1 - world.phi**2)
        values = lfilter([1.0], [1.0, -world.phi], noise, axis=1)
        values[shift, BASELINE_DAYS * world.values :] += 1.0
        yield values.astype(np.float32)


def counted(values: np.ndarray, world: World) -> np.ndarray:
    """Counts by day and bin of equal count in the baseline, `(n_devices, n_days, n_bins)`."""
    baseline = values[:, : BASELINE_DAYS * world.values]
    edges = np.quantile(baseline[:, ::7], np.arange(1, BINS) / BINS)
    bins = np.searchsorted(edges, values).reshape(len(values), -1, world.values)
    cells = bins + BINS * np.arange(bins[..., 0].size).reshape(bins.shape[:2])[..., None]
    return np.bincount(cells.ravel(), minlength=BINS * bins[..., 0].size).reshape(
        *bins.shape[:2], BINS
    )


def rates(flagged: np.ndarray) -> dict[str, float]:
    """Of alarms `(n_devices, n_features, n_windows)`: how many are false, and how much is found."""
    moved = shifted(len(flagged))
    healthy = flagged[~moved]
    return {
        "false_alarms_per_stream_day": float(healthy.mean()),
        "ever": float(healthy.any(axis=-1).mean()),
        "power_1sd": float(flagged[moved].mean()),
    }


def whence(world: World, devices: int, seed: int, kept: int) -> tuple[np.ndarray, np.ndarray]:
    """Our alarms, and the values of the first devices, `(n_kept, n_features, n_days, n_values)`."""
    counts, raw = [], []
    for values in sensors(world, devices, seed):
        counts.append(counted(values, world))
        raw.append(values[:kept].reshape(kept, -1, world.values))
    every = np.concatenate(counts)
    feature = np.repeat(np.arange(FEATURES), devices)
    days = calibrate(every[:, :BASELINE_DAYS], every[:, BASELINE_DAYS:], feature)
    alarm = evidence(days).alarm.reshape(FEATURES, devices, WINDOWS)
    return alarm.swapaxes(0, 1), np.stack(raw, axis=1)


def peer(name: str, values: np.ndarray, windows: int) -> np.ndarray:
    """What a peer flags, `(n_devices, n_features, n_windows)`."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "values.npy", values)
        script = Path(__file__).with_name("monitor_peers.py")
        subprocess.run(
            [str(machine.peer(name)), str(script), "judge", name, folder, str(BASELINE_DAYS), str(windows)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True,
            env=machine.peer_environment(),
        )  # fmt: skip
        return np.load(Path(folder) / "flagged.npy")


def compared(world: World, size: Size, peers: list[str]) -> dict[str, object]:
    """All rules on one world; our rates are the means of the seeds, whose ranges are beside them."""
    ours, figures = [], {}
    for seed in range(size.seeds):
        machine.say(f"{world.name}, seed {seed}: {size.devices} devices x {FEATURES} features")
        kept = max(size.peers[name][0] for name in size.peers)
        alarms, values = whence(world, size.devices, seed, kept)
        ours.append(rates(alarms))
        for name in peers if seed == 0 else ():
            devices, windows = size.peers[name]
            machine.say(f"{world.name}, {name}: {devices} devices x {windows} days")
            flagged = peer(name, values[:devices], windows)
            figures |= named(f"{name}_", world, rates(flagged))
            if windows < WINDOWS:
                figures[f"{name}_ever_{world.name}"] = None
    mean = {key: float(np.mean([each[key] for each in ours])) for key in ours[0]}
    ranges = {
        f"{key}_{world.name}_range": [round(f([each[key] for each in ours]), 5) for f in (min, max)]
        for key in mean
    }
    return named("", world, mean) | ranges | figures


def named(prefix: str, world: World, found: dict[str, float]) -> dict[str, object]:
    """Rates under their names in the report."""
    return {f"{prefix}{key}_{world.name}": round(value, 5) for key, value in found.items()}


def table(figures: dict[str, object], peers: list[str]) -> None:
    """Print the rates of all rules beside each other."""
    names = ("false_alarms_per_stream_day", "ever", "power_1sd")
    print(f"\n  {'':18}{'false alarms a stream-day':>26}{'ever':>10}{'power':>10}")
    for world in WORLDS:
        for rule in ("", *peers):
            found = (figures[f"{rule}{'_' * bool(rule)}{name}_{world.name}"] for name in names)
            cells = ("-" if rate is None else f"{rate:.3f}" for rate in found)
            print("  {:6}{:12}{:>26}{:>10}{:>10}".format(world.name, rule or "whence", *cells))


def timed(peers: list[str], quick: bool, peer_decisions: int) -> dict[str, object]:
    """How long we take, and peers; null at a size at which starting up is most of it."""
    if quick:
        return {**dict.fromkeys(("ratio_evidently", "ratio_nannyml", "heatmap_ms_10m"))}
    with tempfile.TemporaryDirectory() as folder:
        pythons = {name: machine.peer(name) for name in peers}
        found = speed(Path(folder), SPEED_DECISIONS, pythons, peer_decisions)
    with tempfile.TemporaryDirectory() as folder:
        heatmap = cubes.measured(Path(folder), HEATMAP_DECISIONS, rounds=11)
    return {
        **found,
        "heatmap_ms_10m": heatmap["heatmap_ms"],
        "heatmap_cpu_ms_10m": heatmap["heatmap_cpu_ms"],
    }


def main() -> None:
    """Run all parts and print a table and one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--quick", action="store_true", help="fewer devices, one seed, few peers' days"
    )
    parser.add_argument("--data", type=Path, help="a folder with beijing/PRSA_Data_*.csv")
    parser.add_argument(
        "--peer-rows", type=int, default=SPEED_DECISIONS, help="decisions that peers are timed on"
    )
    given = parser.parse_args()
    size = QUICK if given.quick else FULL
    peers = [name for name in PEERS if machine.peer(name).exists()]
    figures: dict[str, object] = {}
    for world in WORLDS:
        figures |= compared(world, size, peers)
    figures |= beijing(given.data)
    figures |= timed(peers, given.quick, given.peer_rows)
    skipped = [name for name in PEERS if name not in peers]
    figures["skipped"] = skipped if given.data else [*skipped, "beijing"]
    figures["sizes"] = {
        "devices": size.devices, "features": FEATURES, "baseline_days": BASELINE_DAYS,
        "windows": WINDOWS, "seeds": size.seeds, "peers_devices_windows": size.peers,
        "speed_decisions": SPEED_DECISIONS, "speed_peer_decisions": given.peer_rows,
    }  # fmt: skip
    table(figures, peers)
    rules = "; ".join(f"{name}: {PEERS[name]}" for name in peers)
    machine.report(
        figures, f"AR(1) fleets, 1 in {FEATURES} streams shifts by 1 sd. {rules}", "numpy", "scipy"
    )
    if not given.quick:
        machine.save("monitor", figures)


if __name__ == "__main__":
    main()
