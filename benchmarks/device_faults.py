"""What a device loses: killed while it records, killed while it sends, without power, without a network.

Every part uses the real recorder, spool and sender. Requests go over HTTP to a tee that notes the spans of
each acknowledged request and, for the kills, hands it on to the real receiver. The kill parts send SIGKILL
to another process at random instants. Power loss cuts or garbles at random what no fsync had covered,
fsync being watched from outside the spool. The outage is 24 hours of simulated time.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import hashlib
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

import observability
from observability.collect.serving import serving
from traces import Decision, ModelVersion
from traces.chain import span_digest
from traces.checkpoint import read_checkpoint
from traces.content import read_content
from traces.device import RecordedClock, Recorder, Sender, Spool, disk, keys
from traces.device.frames import Frame, Priority
from traces.verification import Link, Tombstone, verify
from traces.wire import envelope

ROOT = Path(__file__).parent.parent
INPUTS = 20
DAY_S = 24 * 3600
WINDOW_S = 1.0
ROOMY = 1 << 30
"""The limit of a spool that nothing is to be evicted from, bytes."""
PROTOBUF = "application/x-protobuf"
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
    print()
    for name, value in figures.items():
        print(f"  {name:34} {value}")
    print(json.dumps(figures))
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
                _say(f"{part}: {number + 1} of {kills}, {len(recorded):,} recorded")
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


def power_lost(base: Path, losses: int) -> dict[str, object]:
    """Lose power after a random time, at a random rate: what no fsync covered is cut or garbled."""
    lost = beyond = unnamed = altered = with_holes = 0
    longest = 0.0
    synced: dict[str, int] = {}
    with _watched_fsync(synced) as gate:
        for number in range(losses):
            folder = base / str(number)
            synced.clear()
            appended, died, image = _append_for(folder, CHANCE.uniform(0.1, 2.0), synced, gate)
            with Spool(image, clock=_OtherBoot()) as spool:
                kept = _all_frames(spool)
                named = spool.state.ledger.interruptions
            shutil.rmtree(folder)
            gone = [item for item in appended if item.seq not in kept]
            lost += len(gone)
            altered += sum(kept.get(i.seq, i.digest) != i.digest for i in appended)
            beyond += sum(item.important or died - item.at_s > WINDOW_S for item in gone)
            longest = max([longest, *(died - item.at_s for item in gone)])
            last = max(kept, default=-1)
            holes = {item.seq for item in gone if item.seq < last}
            told = {n for one in named for a, b in one.missing for n in range(a, b + 1)}
            unnamed += not named or named[-1].after_seq != last or told != holes
            with_holes += bool(holes)
            if number % 10 == 9:
                _say(f"power loss: {number + 1} of {losses}, {lost:,} frames lost in all")
    return {
        "power_frames_in_window": lost,
        "power_longest_window_s": round(longest, 2),
        "power_beyond_window": beyond,
        "power_altered_lost": altered,
        "power_with_holes": with_holes,
        "power_unnamed": unnamed,
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


@dataclass
class Tee:
    """An OTLP receiver that keeps the spans of what it acknowledged; `forward` is one behind it."""

    forward: str = ""
    url: str = ""
    requests: int = 0
    spans: dict[str, Span] = field(default_factory=dict)

    @contextlib.contextmanager
    def serving(self) -> Iterator[Tee]:
        """Receive on a loopback port until the block ends."""
        tee = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = tee.take(body)
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Type", PROTOBUF)
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """Clients are killed here all the time."""

        with Server(("127.0.0.1", 0), Handler) as server:
            self.url = f"http://127.0.0.1:{server.server_address[1]}"
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()

    def take(self, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer to a request."""
        status, answer = 200, b""
        if self.forward:
            address = urlsplit(self.forward)
            there = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
            with contextlib.closing(there):
                headers = {"Content-Type": PROTOBUF, "Content-Encoding": "gzip"}
                there.request("POST", "/v1/traces", body, headers)
                response = there.getresponse()
                status, answer = response.status, response.read()
        if status == 200:
            self.requests += 1
            for resource in TracesData.FromString(gzip.decompress(body)).resource_spans:
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        self.spans[f"{span.trace_id.hex()}-{span.span_id.hex()}"] = span
        return status, answer


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
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
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


@dataclass(frozen=True)
class Appended:
    """A frame whose append returned at `at_s`, monotonic seconds."""

    seq: int
    digest: bytes
    important: bool
    at_s: float


@contextlib.contextmanager
def _watched_fsync(synced: dict[str, int]) -> Iterator[threading.Lock]:
    """Note how many bytes of each file (by its name) an fsync has covered; who holds the lock stops them."""
    real, gate = disk.sync_data, threading.Lock()

    def sync(descriptor: int) -> None:
        with gate:
            size = os.fstat(descriptor).st_size
            real(descriptor)
            synced[Path(f"/proc/self/fd/{descriptor}").readlink().name] = size

    disk.sync_data = sync
    try:
        yield gate
    finally:
        disk.sync_data = real


def _append_for(
    folder: Path, seconds: float, synced: dict[str, int], gate: threading.Lock
) -> tuple[list[Appended], float, Path]:
    """Append for a while until power is lost; returns what was appended, when it was, what is left."""
    out = []
    spool = Spool(folder / "live", limit_bytes=ROOMY)
    spool.begin(envelope({"device.id": "dev"}), "chain")
    until = time.monotonic() + seconds
    pause, share = CHANCE.choice([0.0002, 0.001, 0.01]), CHANCE.choice([0.0, 0.001, 0.01])
    while time.monotonic() < until:
        seq = len(out)
        important = CHANCE.random() < share
        span = CHANCE.randbytes(CHANCE.randrange(200, 2000))
        priority = Priority.IMPORTANT if important else Priority.ROUTINE
        digest = hashlib.sha256(span).digest()
        spool.append(Frame(priority, seq, digest, span))
        out.append(Appended(seq, digest, important, time.monotonic()))
        if pause:
            time.sleep(pause)
    with gate:
        died = time.monotonic()
        image = _power_off(folder / "live", folder / "image", synced)
    spool.close()
    return out, died, image


def _power_off(folder: Path, image: Path, synced: dict[str, int]) -> Path:
    """The folder as power loss may leave it: behind the last fsync anything, or nothing."""
    shutil.copytree(folder, image, ignore=shutil.ignore_patterns("*.tmp"))
    for path in (image / "open").iterdir():
        data, safe = path.read_bytes(), synced.get(path.name, 0)
        if not safe and CHANCE.random() < 0.5:
            path.unlink()
            continue
        at = CHANCE.randint(min(safe, len(data)), len(data))
        rest = len(data) - at
        path.write_bytes(data[:at] + CHANCE.choice([b"", bytes(rest), CHANCE.randbytes(rest)]))
    return image


class _OtherBoot(RecordedClock):
    def __init__(self) -> None:
        super().__init__(10**18, boot_id="after the power came back")


def _all_frames(spool: Spool) -> dict[int, bytes]:
    """Everything in a spool: the digest of the span that is there, by number."""
    out = {}
    while (batch := spool.take(1 << 30, 1 << 30)) is not None:
        for record, span in zip(batch.records, batch.spans, strict=True):
            out[record.seq or 0] = hashlib.sha256(span).digest()
        spool.sealed.acknowledge(batch)
    return out


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


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
