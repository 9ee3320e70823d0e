"""What a device loses: killed while it records, killed while it sends, without power, without a network.

Every part uses the real recorder, spool and sender. Requests go over HTTP to a tee that notes the spans of
each acknowledged request and, for the kills, hands it on to the real receiver. The kill parts send SIGKILL
to another process at random instants. Power loss cuts or garbles at random what no fsync had covered,
fsync being watched from outside the spool (power_loss.py). The outage is 24 hours of simulated time.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import machine
from power_loss import ROOMY, power_lost
from tee import Tee

import observability
from observability.collect.serving import serving
from traces import Decision, ModelVersion
from traces.chain import span_digest
from traces.checkpoint import read_checkpoint
from traces.content import read_content
from traces.device import RecordedClock, Recorder, Sender, Spool, keys
from traces.verification import Link, Tombstone, verify

INPUTS = 20
DAY_S = 24 * 3600
CHANCE = random.Random(7)  # noqa: S311


def main() -> None:
    """Run all parts and print a table and one line of JSON; exit status 1 where a promise broke."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="smaller, within a minute")
    parser.add_argument("--child", nargs=2, metavar=("FOLDER", "URL"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _child(Path(arguments.child[0]), arguments.child[1])
    kills, losses, frames = (4, 4, 10_000) if arguments.quick else (100, 40, 200_000)
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        figures: dict[str, object] = {"kills": kills, "power_losses": losses, "outage": frames}
        figures |= killed(base / "recording", kills, sends=False)
        figures |= killed(base / "sending", kills, sends=True)
        figures |= power_lost(base / "power", losses)
        figures |= outage(base / "outage", frames)
    machine.report(figures, "the real recorder, spool and sender", "opentelemetry-sdk")
    broken = [name for name, value in figures.items() if name.endswith(_ZERO) and value]
    raise SystemExit(f"not zero: {', '.join(broken)}" if broken else 0)


_ZERO = ("_lost", "_doubled", "_gaps", "_unverified", "_beyond_window", "_unnamed", "_misnamed")


def killed(base: Path, kills: int, *, sends: bool) -> dict[str, object]:
    """SIGKILL a recording process, which also sends or does not, at random instants."""
    part = "kill_sending" if sends else "kill_recording"
    base.mkdir()
    recorded: list[str] = []
    with serving(base / "fleet") as url, Tee(url).serving() as tee:
        _with_key(base / "spool")
        for number in range(kills):
            recorded += _kill_one(base / "spool", tee.url if sends else "")
            if number % 10 == 9:
                machine.say(f"{part}: {number + 1} of {kills}, {len(recorded):,} recorded")
        with Spool(base / "spool", limit_bytes=ROOMY) as spool:
            recorder = Recorder(device_id="dev", service="bench", spool=spool)
            recorder.shutdown()
            _deliver(spool, tee)
            repeats = tee.requests
        with observability.connect(base / "fleet") as con:
            found = con.sql("SELECT decision_id FROM decisions").fetchall()
    stored = [row[0] for row in found]
    return {
        f"{part}_recorded": len(recorded),
        f"{part}_requests": repeats,
        f"{part}_lost": len(set(recorded) - set(stored)),
        f"{part}_doubled": len(stored) - len(set(stored)),
        **{f"{part}_{name}": value for name, value in _verdict(tee.spans.values()).items()},
    }


def outage(base: Path, count: int) -> dict[str, object]:
    """A day without a network in simulated time, a spool of half the size, then the network again."""
    clock = RecordedClock(1_767_225_600 * 10**9)
    started, half = clock.wall_ns(), _bytes_of(count) // 2
    important: set[str] = set()
    every: dict[str, int] = {}
    with Tee().serving() as tee:
        _with_key(base / "spool")
        with Spool(base / "spool", limit_bytes=half, clock=clock, threaded=False) as spool:
            recorder = Recorder(device_id="dev", service="bench", spool=spool, clock=clock)
            waited: list[float] = []
            nobody = Sender(spool, "http://127.0.0.1:9", clock=clock, wait=_never(waited))
            tried = cpu = 0.0
            for number in range(count):
                clock.set(started + number * DAY_S * 10**9 // count)
                made = _decision(number)
                before = time.process_time()
                key = recorder.record(made)
                cpu += time.process_time() - before
                every[key] = number
                if made.disposition != "executed":
                    important.add(key)
                if number % max(count // 48, 1) == 0:
                    tried += 1
                    nobody.send()
            size = sum(path.stat().st_size for path in (base / "spool").rglob("*.seg"))
            ledger = spool.state.ledger
            recorder.shutdown()
            sending = time.perf_counter()
            _deliver(spool, tee)
            took = time.perf_counter() - sending
    arrived = {key for key in tee.spans if key in every}
    verdict = _verdict(tee.spans.values())
    buried = _buried(tee.spans.values())
    expected = len(every) - len(arrived)
    return {
        "outage_tries": int(tried),
        "outage_spool_over_limit": round(size / half, 3),
        "outage_arrived": len(arrived),
        "outage_tombstoned": ledger.tombstoned,
        "outage_important_lost": len(important - arrived),
        "outage_misnamed": len(buried) - expected,
        "outage_record_cpu_us": round(cpu / count * 1e6, 1),
        "outage_sent_per_s": round(len(tee.spans) / took),
        **{f"outage_{name}": value for name, value in verdict.items()},
    }


def _child(folder: Path, url: str) -> None:
    """Record for ever, and say each id once `record` has returned; send too, if there is where to."""
    spool = Spool(folder, limit_bytes=ROOMY)
    recorder = Recorder(device_id="dev", service="bench", spool=spool)
    if url != "-":
        Sender(spool, url, every_s=0.02).start()
    number = 0
    while True:
        key = recorder.record(_decision(number))
        os.write(1, f"{key}\n".encode())
        number += 1
        if url != "-":
            time.sleep(0.0005)


def _kill_one(folder: Path, url: str) -> list[str]:
    command = [sys.executable, str(Path(__file__)), "--child", str(folder), url or "-"]
    environment = os.environ | {"PYTHONPATH": str(machine.ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as child:
        if child.stdout is None:
            raise SystemExit("no pipe to the child")
        lines = [child.stdout.readline()]
        killer = threading.Timer(CHANCE.uniform(0.0, 0.5), os.kill, (child.pid, signal.SIGKILL))
        killer.start()
        lines += child.stdout.readlines()
        killer.join()
    return [line.decode().strip() for line in lines if line.endswith(b"\n") and line.strip()]


def _deliver(spool: Spool, tee: Tee) -> None:
    sender = Sender(spool, tee.url)
    if not sender.flush(600):
        raise SystemExit(f"not delivered: {spool.state.ledger.error}")
    sender.stop()


def _verdict(spans) -> dict[str, object]:
    """What the chains of these spans show: undeclared gaps, and what no signature vouches for."""
    chains: dict[str, list] = {}
    for span in spans:
        said = read_content(span.attributes)
        items = chains.setdefault(said.values["decision.chain.id"], [])
        if span.name == "decision.tombstone":
            items.append(_tombstone(said.values))
            continue
        times = span.start_time_unix_nano, span.end_time_unix_nano
        digest = span_digest(span.trace_id, span.span_id, span.name, *times, said.canonical)
        seq, prev = said.values["decision.chain.seq"], said.values["decision.chain.prev"]
        items.append(Link(seq, bytes.fromhex(prev), digest))
        if span.name == "decision.checkpoint":
            checkpoint = read_checkpoint(said.values, said.values["decision.chain.id"])
            items += [checkpoint] if checkpoint else []
    found = [verify(chain_id, items) for chain_id, items in chains.items()]
    wrong = ("altered", "disagreeing", "forks", "unsigned")
    return {
        "chains": len(chains),
        "gaps": sum(_numbers(each.missing) for each in found),
        "unverified": sum(_numbers(getattr(each, name)) for each in found for name in wrong)
        # the last span of a chain is the checkpoint, which signs those before it
        - sum(_numbers(each.unsigned) == 1 for each in found),
    }


def _tombstone(said: dict) -> Tombstone:
    first, last = said["decision.tombstone.seq_from"], said["decision.tombstone.seq_to"]
    return Tombstone(first, last, said["decision.tombstone.digests"])


def _buried(spans) -> set[int]:
    said = (read_content(s.attributes).values for s in spans if s.name == "decision.tombstone")
    stones = [_tombstone(values) for values in said]
    return {seq for stone in stones for seq in range(stone.seq_from, stone.seq_to + 1)}


def _numbers(ranges) -> int:
    return sum(last - first + 1 for first, last in ranges)


def _decision(number: int) -> Decision:
    blocked = number % 20 == 0
    return Decision(
        "bench.act",
        ModelVersion("bench", "1", "sha256:" + "0" * 64),
        "hold" if blocked else "act",
        "blocked" if blocked else "executed",
        inputs={f"input_{n}": number * 0.25 + n for n in range(INPUTS)},
    )


def _bytes_of(count: int) -> int:
    """How much so many decisions take in a spool."""
    with tempfile.TemporaryDirectory() as folder, Spool(Path(folder) / "spool") as spool:
        recorder = Recorder(device_id="dev", service="bench", spool=spool)
        for number in range(500):
            recorder.record(_decision(number))
        spool.seal()
        return spool.sealed.bytes * count // 500


def _with_key(folder: Path) -> None:
    Spool(folder).close()
    keys.create(folder)


def _never(waited: list[float]):
    def wait(seconds: float) -> bool:
        waited.append(seconds)
        return False

    return wait


if __name__ == "__main__":
    main()
