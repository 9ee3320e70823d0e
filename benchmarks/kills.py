"""What a kill of the receiver loses: SIGKILL at random instants under load, again and again on one store.

What a request was not answered for is sent again after the restart, as devices do; so a decision that was
stored without its answer comes twice. ingest.py prints the figures.
"""

from __future__ import annotations

import random
import statistics
import time
from pathlib import Path

import machine
from bodies import Body, streams
from load import Load
from served import Server, accounted, read_all, served

DEVICES, READY = 8, 2_500
"""Devices that send at once, and how many decisions each has ready at least when the load begins."""
WITHIN_S = 1.0
"""The kill comes at a random instant so long from the first answer."""
CHANCE = random.Random(7)  # noqa: S311


def killed(store: Path, kills: int) -> dict[str, object]:
    """Kill so often; then look for every acknowledged decision and read every table."""
    waiting: list[list[Body]] = streams("kill", DEVICES, DEVICES * READY)
    acknowledged: list[str] = []
    opened_s = []
    for number in range(kills):
        with served(store) as server:
            opened_s.append(server.opened_s)
            with Load(server.url, waiting, again=False) as load:
                _kill_soon(load, server)
                load.join()
        acknowledged += [key for each in load.acknowledged for key in each.body.ids]
        waiting = _and_new(load.left(), number)
        if number % 10 == 9 or number == kills - 1:
            tables = read_all(store)
            machine.say(f"kill {number + 1} of {kills}: {len(acknowledged):,} acknowledged so far")
    with served(store) as server, Load(server.url, waiting) as load:
        load.join()
    acknowledged += [key for each in load.acknowledged for key in each.body.ids]
    found = accounted(store, acknowledged)
    return {
        "kill_acknowledged": found["acknowledged"],
        "kill_lost": found["lost"],
        "kill_duplicates": found["twice"],
        "kill_tables_read": tables,
        "kill_start_s": round(statistics.median(opened_s), 1),
        "kill_start_s_range": [round(min(opened_s), 1), round(max(opened_s), 1)],
    }


def _kill_soon(load: Load, server: Server) -> None:
    while not load.answers:
        time.sleep(0.001)
    time.sleep(CHANCE.uniform(0.0, WITHIN_S))
    server.kill()


def _and_new(left: list[list[Body]], number: int) -> list[list[Body]]:
    """What is left of each stream, and a new one behind it where little is."""
    few = [place for place, stream in enumerate(left) if sum(len(b.ids) for b in stream) < READY]
    new = streams(f"kill-{number}", len(few), len(few) * READY) if few else []
    for place, stream in zip(few, new, strict=True):
        left[place] = left[place] + stream
    return left
