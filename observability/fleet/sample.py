"""Generated files in the form of each recorded data set, so that tests and the demo need no download.

`python -m observability.fleet.sample cmapss DIR` writes them. Believable, seeded, and nothing more:
what is measured on them says nothing about the real data.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from observability.fleet import strict
from traces.errors import WrongUse

# Start value, change over a whole life, noise, decimals, in the columns' order after the settings.
_ENGINE_SENSORS = (
    (518.67, 0.0, 0.0, 2), (642.2, 1.9, 0.35, 2), (1585.5, 19.0, 4.2, 2), (1400.0, 31.0, 4.5, 2),
    (14.62, 0.0, 0.0, 2), (21.61, 0.0, 0.0, 2), (554.2, -3.0, 0.45, 2), (2388.04, 0.25, 0.03, 2),
    (9050.0, 25.0, 9.0, 2), (1.30, 0.0, 0.0, 2), (47.25, 1.0, 0.12, 2), (522.1, -2.4, 0.38, 2),
    (2388.04, 0.25, 0.03, 2), (8132.0, 20.0, 8.0, 2), (8.41, 0.13, 0.018, 4), (0.03, 0.0, 0.0, 2),
    (391.5, 5.0, 0.8, 0), (2388.0, 0.0, 0.0, 0), (100.0, 0.0, 0.0, 2), (38.95, -0.6, 0.09, 2),
    (23.37, -0.35, 0.055, 4),
)  # fmt: skip
_ENGINES = 40
_STATIONS = ("Aotizhongxin", "Changping")
_COMPASS = (
    "N", "NNE", "NE", "ENE", "E", "ESE", "SE", "SSE", "S", "SSW", "SW", "WSW", "W", "WNW", "NW", "NNW",
)  # fmt: skip
_ROOM_HEADER = '"date","Temperature","Humidity","Light","CO2","HumidityRatio","Occupancy"'
_STATION_HEADER = (
    '"No","year","month","day","hour","PM2.5","PM10","SO2","NO2","CO","O3",'
    '"TEMP","PRES","DEWP","RAIN","wd","WSPM","station"'
)


def write_sample(name: str, folder: Path, seed: int = 7) -> None:
    """Write the files that the spec `name` reads. The same seed gives the same bytes.

    Raises WrongUse for a name without a sample.
    """
    if name not in SAMPLES:
        raise WrongUse(f"sample {name!r}", strict.one_of(SAMPLES), strict.closest(name, SAMPLES))
    folder.mkdir(parents=True, exist_ok=True)
    SAMPLES[name](folder, np.random.default_rng(seed))


def _write_engines(folder: Path, rng: np.random.Generator) -> None:
    lives = [rng.integers(140, 260, _ENGINES), rng.integers(140, 260, _ENGINES)]
    near, far = rng.integers(6, 31, _ENGINES), rng.integers(31, 120, _ENGINES)
    left = np.where(rng.random(_ENGINES) < 0.45, near, far)
    train = [
        line for unit, life in enumerate(lives[0], 1) for line in _engine(unit, life, life, rng)
    ]
    test = [
        line
        for unit, life in enumerate(lives[1], 1)
        for line in _engine(unit, life, life - left[unit - 1], rng)
    ]
    _write(folder / "train_FD001.txt", train)
    _write(folder / "test_FD001.txt", test)
    _write(folder / "RUL_FD001.txt", [f"{remaining} " for remaining in left])


def _engine(unit: int, life: int, recorded: int, rng: np.random.Generator) -> Iterable[str]:
    """One engine's lines: sensors creep at first and run away towards the end of its life."""
    character = rng.normal(0.0, 0.5, len(_ENGINE_SENSORS))
    for cycle in range(1, recorded + 1):
        wear = 0.15 * cycle / life + 0.85 * (cycle / life) ** 5
        values = [
            f"{start + (wear * change) + noise * (character[at] + rng.normal()):.{decimals}f}"
            for at, (start, change, noise, decimals) in enumerate(_ENGINE_SENSORS)
        ]
        altitude, mach = rng.normal(0.0, 0.002), rng.normal(0.0, 0.0003)
        yield f"{unit} {cycle} {altitude:.4f} {mach:.4f} 100.0 {' '.join(values)}  "


def _write_room(folder: Path, rng: np.random.Generator) -> None:
    for file, start, days in (
        ("datatraining.txt", datetime(2015, 2, 4), 4),  # noqa: DTZ001 - local time, as the file has it
        ("datatest2.txt", datetime(2015, 2, 11), 3),  # noqa: DTZ001
    ):
        _write(folder / file, [_ROOM_HEADER, *_room(start, days, rng)])


def _room(start: datetime, days: int, rng: np.random.Generator) -> Iterable[str]:
    """A minute a line: people come and go, CO2 and warmth follow them, the light is on while they are in."""
    temperature, co2 = 20.0, 460.0
    arrive, leave = 8.2, 17.5
    for minute in range(days * 1440):
        at = start + timedelta(minutes=minute)
        if minute % 1440 == 0:
            arrive, leave = rng.normal(8.2, 0.4), rng.normal(17.6, 0.7)
        hour = at.hour + at.minute / 60
        inside = arrive <= hour < leave and not 12.2 <= hour < 13.0
        daylight = (
            max(0.0, 130.0 * np.sin(np.pi * (hour - 8.0) / 9.5)) if 8.0 < hour < 17.5 else 0.0
        )
        light = daylight + (390.0 + rng.normal(0.0, 12.0) if inside else 0.0)
        co2 += ((1450.0 if inside else 440.0) - co2) / (75.0 if inside else 120.0) + rng.normal(
            0.0, 4.0
        )
        temperature += ((22.6 if inside else 19.6) - temperature) / 180.0 + rng.normal(0.0, 0.01)
        humidity = 26.0 + 0.004 * (co2 - 440.0) + rng.normal(0.0, 0.1)
        # Somebody breathes on the probe, or its heater fails, now and then.
        shown = co2 + (900.0 if rng.random() < 0.004 else 0.0)
        jitter = timedelta(seconds=int(minute % 5 == 4))
        yield (
            f'"{minute + 1}","{at - jitter:%Y-%m-%d %H:%M:%S}",{temperature:.2f},{humidity:.3f},'
            f"{light:.1f},{shown:.2f},{_humidity_ratio(temperature, humidity):.10f},{int(inside)}"
        )


def _humidity_ratio(temperature: float, humidity: float) -> float:
    """Water in kg a kg of dry air at sea level, from °C and % (Magnus formula)."""
    vapour = humidity / 100.0 * 611.2 * float(np.exp(17.62 * temperature / (243.12 + temperature)))
    return 0.622 * vapour / (101325.0 - vapour)


def _write_stations(folder: Path, rng: np.random.Generator) -> None:
    for station in _STATIONS:
        start = datetime(2014, 10, 1)  # noqa: DTZ001 - local time, as the file has it
        lines = _station(station, start, 150, rng)
        _write(folder / f"PRSA_Data_{station}.csv", [_STATION_HEADER, *lines])


def _station(station: str, start: datetime, days: int, rng: np.random.Generator) -> Iterable[str]:
    """An hour a line: smog builds up in calm air, heating adds to it, north wind blows it away."""
    smog, wind = 4.0, 0.0
    for number in range(days * 24):
        at = start + timedelta(hours=number)
        season = np.cos(2 * np.pi * (at.timetuple().tm_yday - 15) / 365.25)
        temp = (
            13.0
            - 16.0 * season
            + 5.0 * np.sin(2 * np.pi * (at.hour - 9) / 24)
            + rng.normal(0.0, 1.0)
        )
        wind = 0.93 * wind + rng.normal(0.0, 0.5)
        drift = 0.04 * (4.05 + 0.25 * season) - 0.09 * max(wind, 0.0) + 0.05
        smog = 0.96 * smog + drift + rng.normal(0.0, 0.14)
        pm25 = min(float(np.exp(smog)), 880.0)
        direction = _COMPASS[int((15 if wind > 0 else 7) + rng.normal(0.0, 2.0)) % 16]
        rain = float(rng.exponential(1.6)) if rng.random() < 0.03 else 0.0
        values = [
            f"{pm25:.0f}", f"{pm25 * 1.25 + rng.exponential(15.0):.0f}", f"{4 + pm25 * 0.12:.0f}",
            f"{20 + pm25 * 0.4:.0f}", f"{400 + pm25 * 12:.0f}", f"{max(2.0, 60 - pm25 * 0.3):.0f}",
            f"{temp:.1f}", f"{1012 + 10 * season + rng.normal(0, 1):.1f}", f"{temp - 14 + smog:.1f}",
            f"{rain:.1f}", f'"{direction}"', f"{abs(wind) + 0.4:.1f}",
        ]  # fmt: skip
        values = ["NA" if rng.random() < 0.012 else value for value in values]
        yield ",".join(
            [f"{number + 1},{at.year},{at.month},{at.day},{at.hour}", *values, f'"{station}"']
        )


def _write(path: Path, lines: Sequence[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


SAMPLES: dict[str, Callable[[Path, np.random.Generator], None]] = {
    "cmapss": _write_engines,
    "occupancy": _write_room,
    "beijing": _write_stations,
}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description="Write generated files in the form of a recorded data set."
    )
    parser.add_argument("name", choices=SAMPLES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    write_sample(given.name, given.folder, given.seed)
