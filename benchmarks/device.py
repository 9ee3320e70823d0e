"""What recording one decision costs a device, beside the SDK's batching processor and the official encoder.

Both record the same decisions in turn, in one process, and CPU time of the whole process is counted:
theirs is the span, the queue and the encoding into one request of 512; ours the span's bytes, its digest,
the chain, the signed checkpoints and the spool on the disk. Model and gates are not counted. What a device
loses when it is killed is device_faults.py's.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import machine
from device_faults import killed
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from traces import ClockReading, Decision, Gate, ModelVersion, Recommendation
from traces.device import Recorder, Spool, SystemClock, keys

INPUTS, GATES, BATCH = 20, 3, 512
BLOCKED = 0.05
DISTINCT = 500
"""Decisions that are recorded over and over: a device's own is as fresh in the processor's memory."""
ROOMY = 8 << 30
"""The limit of a spool that nothing is to be evicted from, bytes."""


class Encoder(SpanExporter):
    """The official encoder, and nothing sent."""

    spans = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Encode a batch."""
        self.spans += len(spans)
        encode_spans(spans).SerializeToString()
        return SpanExportResult.SUCCESS


def main() -> None:
    """Run all parts and print a table and one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="smaller, within 45 s")
    quick = parser.parse_args().quick
    decisions, rounds, imports = (4_000, 5, 5) if quick else (20_000, 15, 15)
    figures: dict[str, object] = {"decisions": decisions, "rounds": rounds}
    figures |= _recording(_decided(DISTINCT) * (decisions // DISTINCT), rounds)
    figures |= _importing(imports)
    figures["rss_growth_mb_per_million"] = None if quick else _rss_growth_mb(_decided(DISTINCT))
    figures |= _killed(4 if quick else 100)
    about = (
        f"{INPUTS} inputs, {GATES} gates, {BLOCKED:.0%} blocked; CPU time, medians of the rounds"
    )
    machine.report(figures, about, "opentelemetry-sdk", "protobuf")
    if not quick:
        machine.save("device", figures)


def _recording(decided: list[Decision], rounds: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as opened:
        keys.create(Path(folder) / "own")
        exporter = Encoder()
        spools = [
            opened.enter_context(Spool(Path(folder) / name, limit_bytes=ROOMY))
            for name in ("own", "unchained")
        ]
        own, unchained = (
            Recorder(device_id="d", service="bench", spool=spool, chain=chain)
            for spool, chain in zip(spools, (True, False), strict=True)
        )
        # A queue that takes a round, so that nothing is dropped; exported in the official batches.
        batching = BatchSpanProcessor(
            exporter, max_queue_size=2 * len(decided), max_export_batch_size=BATCH
        )
        sdk = Recorder(device_id="d", service="bench", processor=batching)
        costs: dict[str, list[float]] = {"own": [], "unchained": [], "sdk": []}
        for number in range(rounds + 1):
            one = {
                "own": _cost(own, decided),
                "unchained": _cost(unchained, decided),
                "sdk": _cost(sdk, decided),
            }
            if number:
                for name, cost in one.items():
                    costs[name].append(cost)
                machine.say(
                    f"round {number} of {rounds}: {one['own']:.1f} us, SDK {one['sdk']:.1f} us"
                )
        for recorder in (own, unchained, sdk):
            recorder.shutdown()
        if own.failures or unchained.failures or exporter.spans != (rounds + 1) * len(decided):
            raise SystemExit("not every decision was recorded")
        kept = sum(file.stat().st_size for file in (Path(folder) / "own").rglob("*.seg*"))
    ratios = [sdk / own for sdk, own in zip(costs["sdk"], costs["own"], strict=True)]
    return {
        "us_per_decision": _median(costs["own"]),
        "us_per_decision_range": _range(costs["own"]),
        "us_per_decision_unchained": _median(costs["unchained"]),
        "sdk_us_per_decision": _median(costs["sdk"]),
        "sdk_us_per_decision_range": _range(costs["sdk"]),
        "ratio_sdk": _median(ratios),
        "ratio_sdk_range": _range(ratios),
        "spool_bytes_per_decision": round(kept / len(decided) / (rounds + 1)),
    }


def _cost(recorder: Recorder, decided: list[Decision]) -> float:
    """CPU time of recording each decision, microseconds, all threads counted."""
    record: Callable[[Decision, int], str] = recorder.record
    started = time.process_time()
    for decision in decided:
        record(decision, 1)
    recorder.flush()
    return (time.process_time() - started) / len(decided) * 1e6


def _decided(count: int) -> list[Decision]:
    """Decisions of one type; one in twenty is blocked, with reasons of their own."""
    seeded = random.Random(7)  # noqa: S311
    limit = 1 - BLOCKED / GATES
    gates = [Gate(f"limit_{n}", f"input_{n}", "<=", limit) for n in range(GATES)]
    model = ModelVersion("bench", "1", "sha256:" + "0" * 64)
    clock = SystemClock(synced=True)
    out = []
    for _ in range(count):
        inputs = {f"input_{n}": seeded.random() for n in range(INPUTS)}
        verdicts = tuple(gate.judge(inputs) for gate in gates)
        blocked = any(verdict.verdict == "block" for verdict in verdicts)
        action = "act" if inputs["input_0"] >= 0.5 else "hold"
        out.append(
            Decision(
                type="bench.act",
                model=model,
                recommendation=Recommendation(action, inputs["input_0"], 0.5),
                inputs=inputs,
                gates=verdicts,
                action="hold" if blocked else action,
                disposition="blocked" if blocked else "executed",
                context={"mode": "auto", "site": "a"},
                clock=ClockReading(clock.boot_id, clock.monotonic_ns(), clock.synced),
            )
        )
    return out


def _rss_growth_mb(decided: list[Decision]) -> float:
    """By how much the process grows over a million decisions, its spool full and evicting, MB."""
    with tempfile.TemporaryDirectory() as folder, Spool(Path(folder) / "spool") as spool:
        recorder = Recorder(device_id="d", service="bench", spool=spool)
        grown: list[float] = []
        for million in (0.1, 1.0):
            for _ in range(round(million * 1e6) // len(decided)):
                for decision in decided:
                    recorder.record(decision, 1)
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            grown.append(pages * resource.getpagesize() / 2**20)  # now: a peak would hide it
            machine.say(f"{million:.1f} million decisions: {grown[-1]:,.0f} MB")
        recorder.shutdown()
    return round(grown[1] - grown[0], 1)


def _killed(kills: int) -> dict[str, object]:
    """SIGKILLs of a recording process and as many of one that also sends."""
    with tempfile.TemporaryDirectory() as folder:
        found = killed(Path(folder) / "recording", kills, sends=False)
        found |= killed(Path(folder) / "sending", kills, sends=True)

    def both(what: str) -> object:
        return sum(int(str(found[f"kill_{part}_{what}"])) for part in ("recording", "sending"))

    return {
        "kills": 2 * kills,
        "kill_recorded": both("recorded"),
        "kill_lost": both("lost"),
        "kill_duplicates": both("doubled"),
        "undeclared_gaps": both("gaps"),
    }


def _importing(count: int) -> dict[str, object]:
    code = (
        "import time; t = time.perf_counter(); import traces.device; print(time.perf_counter() - t)"
    )
    times = []
    for _ in range(count):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=machine.ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        times.append(float(done.stdout) * 1e3)
    return {"import_ms": _median(times), "import_ms_range": _range(times)}


def _median(values: list[float]) -> float:
    return round(statistics.median(values), 2)


def _range(values: list[float]) -> list[float]:
    return [round(min(values), 2), round(max(values), 2)]


if __name__ == "__main__":
    main()
