"""What the receiver does when what it stands on fails, under load: and that nothing acknowledged is lost.

A disk that is full; a catalog that another process has locked; a PostgreSQL that stops and starts again;
an S3 that answers nobody; and a million bodies that are nearly right. Senders go on as devices do: what is
refused is sent again. Each fault says what they were answered while it lasted and at all, how long after
its end the receiver took spans again by itself, and what of the acknowledged is missing or there twice.
SIGKILL is ingest.py's.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from unittest.mock import patch

import lakes
import machine
from bodies import stream, streams
from load import Load
from mutants import send_mutants
from served import COMMAND, accounted, compile_scan, read_all, served, whence

SENDERS, PER_S, SIZES = 8, 2_000, (16, 32, 64)
BEFORE_S, AFTER_S, PATIENCE_S = 1.0, 1.0, 180.0
DISK_MB = 192
BOUND_MB = 1024
"""What mutants may add to the receiver's memory: the queue's 256 MB, as much to decode it, DuckDB's 512."""
Figures = dict[str, object]
Fault = Callable[[], AbstractContextManager[None]]


def main() -> None:
    """Run all faults and print a table and one line of JSON; exit status 1 where a promise broke."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="shorter and fewer, within 45 s")
    parser.add_argument("--only", choices=FAULTS, action="append", help="this fault alone")
    arguments = parser.parse_args()
    held_s, bodies = (1.0, 1_000) if arguments.quick else (20.0, 1_000_000)
    figures: Figures = {"held_s": held_s, "bodies": bodies}
    skipped: dict[str, str] = {}
    compile_scan()
    for name in arguments.only or FAULTS:
        with tempfile.TemporaryDirectory() as folder:
            try:
                found = FAULTS[name](Path(folder), held_s, bodies)
            except _Skipped as reason:
                skipped[name] = str(reason)
                machine.say(f"{name}: skipped, {reason}")
                continue
        machine.say(f"{name}: {found}")
        figures |= {f"{name}_{key}": value for key, value in found.items()}
    figures["skipped"] = skipped
    load = f"{PER_S:,} decisions/s from {SENDERS} senders, requests of {SIZES} spans in turn"
    machine.report(figures, load, "duckdb", "uvicorn")
    if not (arguments.quick or arguments.only):
        machine.save("receiver_faults", figures)
    broken = [key for key, value in figures.items() if key.endswith(_ZERO) and value]
    raise SystemExit(f"not zero: {', '.join(broken)}" if broken else 0)


_ZERO = ("_lost", "_twice", "_undelivered", "_5xx", "_crashed", "_over_bound")


class _Skipped(Exception):
    """A fault that cannot be made here, and why."""


def disk_full(base: Path, held_s: float, _: int) -> Figures:
    """Another process fills the disk that the store lies on."""
    image, disk = base / "disk.img", base / "disk"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(DISK_MB << 20)
    try:
        for command in (["mkfs.ext4", "-q", "-F", image], ["mount", "-o", "loop", image, disk]):
            subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise _Skipped("no file system can be mounted: it takes root and a loop device") from error
    try:
        return _under_load(disk / "fleet", lambda: _filled(disk), held_s)
    finally:
        subprocess.run(["umount", disk], check=True)


def catalog_locked(base: Path, held_s: float, _: int) -> Figures:
    """Another process holds the write lock of the SQLite catalog."""
    store = base / "fleet"
    return _under_load(store, lambda: _locked(store / "catalog.sqlite"), held_s)


def postgres_restarted(base: Path, held_s: float, _: int) -> Figures:
    """The catalog's PostgreSQL is stopped at once and started again."""
    programs = _shared_lakes()
    with lakes.postgres(programs) as server:
        files = str(base / "files")
        return _under_load(server.store, lambda: _stopped(server), held_s, files=files)


def s3_failing(_base: Path, held_s: float, _: int) -> Figures:
    """The S3 endpoint of the files answers nobody."""
    programs = _shared_lakes()
    if not lakes.has_endpoint():
        raise _Skipped("moto is not installed: pip install 'moto[server]'")
    with (
        lakes.postgres(programs) as server,
        lakes.endpoint() as s3,
        patch.dict(os.environ, s3.environment),
    ):
        return _under_load(server.store, lambda: _paused(s3), held_s, files=s3.files)


def mutated(base: Path, _: float, bodies: int) -> Figures:
    """Bodies that are nearly right, and good ones before and after."""
    store = base / "fleet"
    good = stream("good", 200, (20,))
    with served(store) as server:
        with Load(server.url, [good[:5]]) as before:
            before.join()
        before_mb = server.memory_mb()
        answers, sampled_mb = send_mutants(server, bodies)
        crashed = server.process.poll() is not None
        with Load(server.url, [good[5:]], again=not crashed) as after:
            after.join(PATIENCE_S)
        peak_mb = 0.0 if crashed else server.memory_mb("VmHWM")
    read_all(store)
    acknowledged = [*before.acknowledged, *after.acknowledged]
    return {
        "answers": dict(sorted(answers.items())),
        "5xx": sum(count for said, count in answers.items() if said.startswith("5")),
        "crashed": int(crashed) + answers["connection lost"] + answers["time out"],
        "memory_mb_before": round(before_mb),
        "memory_mb_by_tenth": sampled_mb,
        "memory_mb_peak": round(peak_mb),
        "mb_over_bound": max(round(peak_mb - before_mb - BOUND_MB), 0),
        "undelivered": len(good) - len(acknowledged),
        **accounted(store, [key for each in acknowledged for key in each.body.ids]),
    }


Way = Callable[[Path, float, int], Figures]
FAULTS: dict[str, Way] = {
    each.__name__: each
    for each in (disk_full, catalog_locked, postgres_restarted, s3_failing, mutated)
}


def _under_load(
    store: Path | str,
    fault: Fault,
    held_s: float,
    *,
    files: str | None = None,
) -> Figures:
    """Let the fault last so long under load, and wait until everything was taken."""
    options = () if files is None else ("--files", files)
    where = {} if files is None else {"files": files}
    work = streams("dev", SENDERS, int(PER_S * (BEFORE_S + held_s + AFTER_S)), SIZES)
    with served(store, *options) as server:
        with Load(server.url, work, per_s=PER_S) as load:
            time.sleep(BEFORE_S)
            with fault():
                began_s, before = time.monotonic(), Counter(load.answers)
                time.sleep(held_s)
            ended_s, during = time.monotonic(), load.answers - before
            delivered = load.join(PATIENCE_S)
        left = sum(len(body.ids) for stream in load.left() for body in stream)
        memory_mb = server.memory_mb("VmHWM")
    read_all(store, **where)
    found = accounted(store, [key for a in load.acknowledged for key in a.body.ids], **where)
    after_s = [each.at_s - ended_s for each in load.acknowledged if each.at_s > ended_s]
    return {
        "answers": dict(sorted(load.answers.items())),
        "answers_during": dict(sorted(during.items())),
        "held_s": round(ended_s - began_s, 1),
        "recovered_s": round(min(after_s), 2) if after_s else None,
        "all_taken_s": round(max(after_s), 2) if after_s and delivered else None,
        "undelivered": left,
        "peak_memory_mb": round(memory_mb),
        **found,
    }


@contextlib.contextmanager
def _filled(disk: Path) -> Iterator[None]:
    """No byte left on the disk, and none that becomes free."""
    full, over = threading.Event(), threading.Event()
    filling = threading.Thread(target=_fill, args=(disk / "filler", full, over))
    filling.start()
    full.wait()
    try:
        yield
    finally:
        over.set()
        filling.join()
        (disk / "filler").unlink()


def _fill(path: Path, full: threading.Event, over: threading.Event) -> None:
    with path.open("wb", buffering=0) as file:
        while not over.is_set():
            for size in (1 << 20, 4096, 1):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)) == size and not over.is_set():
                        pass
            full.set()
            over.wait(0.02)


@contextlib.contextmanager
def _locked(catalog: Path) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(catalog, isolation_level=None)) as con:
        con.execute("PRAGMA busy_timeout = 60000")
        con.execute("BEGIN IMMEDIATE")
        yield
        con.execute("ROLLBACK")


@contextlib.contextmanager
def _stopped(server: lakes.Postgres) -> Iterator[None]:
    server.stop()
    yield
    server.start()


@contextlib.contextmanager
def _paused(s3: lakes.Endpoint) -> Iterator[None]:
    s3.pause()
    yield
    s3.resume()


def _shared_lakes() -> Path:
    """Where PostgreSQL's programs are. Raises _Skipped without them or without what uses them."""
    if "--files" not in whence(COMMAND, "--help"):
        raise _Skipped(f"whence {COMMAND} takes no --files yet")
    programs = lakes.postgres_programs()
    if programs is None:
        raise _Skipped("PostgreSQL is not installed: apt-get install postgresql")
    return programs


if __name__ == "__main__":
    main()
