"""Decisions stored per second, beside MLflow and Phoenix: the same spans to each in turn, in the same run.

The spans are OpenTelemetry's own (SDK and exporter's encoder, not chained), each a decision, in requests of
32 to 512; a few before them warm each server up. Whence is sent TIMES as many of them, from more senders:
as few as the others take minutes for would be stored before it is busy. A round ends when a query of the
server's own database finds all of them: what is acknowledged is not what is stored. For Whence that is
durable; for the others it is found, no more. The first round is sent by few senders and by many; the later
ones by as many as served a server best. The page of 50 is the newest blocked decisions, with what a list
shows: in Whence a query as its pages make it, in Phoenix its GraphQL over HTTP, as its pages do.
`benchmarks/peers.sh` installs the peers; who is not there is skipped.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import machine
import peer_servers
from bodies import SIZES, Body, sdk_spans
from load import Load
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from peer_servers import Peer
from served import compile_scan

SENDERS, OUR_SENDERS, WARM = (8, 64), (64, 256), 8
TIMES = 10
PAGES, ROWS = 15, 50
PATIENCE_S = 1200.0
Start = Callable[[Path], AbstractContextManager[Peer]]
SERVERS: dict[str, Start] = {
    "whence": peer_servers.whence,
    "mlflow": peer_servers.mlflow,
    "phoenix": peer_servers.phoenix,
}


def main() -> None:
    """Run all rounds and print a table and one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="smaller, within 45 s")
    quick = parser.parse_args().quick
    spans, rounds = (400, 1) if quick else (12_000, 3)
    names = [name for name in SERVERS if name == "whence" or peer_servers.installed(name)]
    compile_scan()
    rates: dict[str, list[float]] = {name: [] for name in SERVERS}
    pages: dict[str, float] = {}
    by_senders: dict[str, dict[int, float]] = {}
    for number in range(rounds):
        for name in names:
            tried = by_senders.get(name, {})
            senders_of, sent = (
                (OUR_SENDERS, TIMES * spans) if name == "whence" else (SENDERS, spans)
            )
            counts = [max(tried, key=tried.__getitem__)] if tried else senders_of
            work = {senders: _work(f"dev-{number}", senders, sent) for senders in counts}
            with tempfile.TemporaryDirectory() as folder, SERVERS[name](Path(folder)) as peer:
                _stored_per_s(peer, _work("warm", SENDERS[0], WARM * SENDERS[0]))
                found = {senders: _stored_per_s(peer, work[senders]) for senders in counts}
                if peer.page is not None:
                    pages[name] = _page_ms(peer.page)
            by_senders.setdefault(name, found)
            rates[name].append(max(found.values()))
            told = ", ".join(f"{rate:,.0f} from {senders}" for senders, rate in found.items())
            machine.say(f"round {number + 1}, {name}: stored/s: {told} senders")
    figures = _figures(rates, pages, spans, rounds)
    figures["per_s_by_senders"] = {
        name: {senders: round(rate, 1) for senders, rate in found.items()}
        for name, found in by_senders.items()
    }
    about = (
        f"{spans:,} spans to each peer from {SENDERS} senders, {TIMES} times as many to Whence from"
        f" {OUR_SENDERS}; requests of {SIZES} in turn"
    )
    machine.report(figures, about, "duckdb", "opentelemetry-sdk")
    if not quick:
        machine.save("peers", figures)


def _figures(
    rates: dict[str, list[float]], pages: dict[str, float], spans: int, rounds: int
) -> dict[str, object]:
    middle = {name: statistics.median(found) for name, found in rates.items() if found}
    ranges = {
        f"{name}_per_s_range": [round(min(found)), round(max(found))]
        for name, found in rates.items()
        if found
    }
    return {
        "spans": spans,
        "rounds": rounds,
        "durable_per_s": round(middle["whence"]),
        "mlflow_per_s": _rounded(middle.get("mlflow")),
        "phoenix_per_s": _rounded(middle.get("phoenix")),
        "ratio_mlflow": _ratio(rates, "mlflow"),
        "ratio_phoenix": _ratio(rates, "phoenix"),
        "filter_ms": pages["whence"],
        "phoenix_filter_ms": pages.get("phoenix"),
        **ranges,
        "skipped": [name for name, found in rates.items() if not found],
    }


def _ratio(rates: dict[str, list[float]], name: str) -> float | None:
    """The median of the rounds' ratios of Whence to a peer."""
    if not rates[name]:
        return None
    pairs = zip(rates["whence"], rates[name], strict=True)
    return round(statistics.median(ours / theirs for ours, theirs in pairs), 1)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


@functools.lru_cache(maxsize=len(SENDERS) + len(OUR_SENDERS))
def _work(name: str, senders: int, decisions: int) -> list[list[Body]]:
    """A stream of a device of its own for each sender, of so many decisions all together."""
    each = decisions // senders
    return [_stream(f"{name}-{number}-of-{senders}", each, number) for number in range(senders)]


def _stream(device: str, decisions: int, turn: int) -> list[Body]:
    """What the official exporter posts for a device's decisions, not compressed, which is its default.

    `turn` is the size that it begins with.
    """
    spans = sdk_spans(device, decisions)
    cycle = itertools.islice(itertools.cycle(SIZES), turn % len(SIZES), None)
    bodies = []
    while spans:
        size = next(cycle)
        part, spans = spans[:size], spans[size:]
        bodies.append(Body(encode_spans(part).SerializeToString(), ("",) * len(part)))
    return bodies


def _stored_per_s(peer: Peer, work: list[list[Body]]) -> float:
    """Spans a second, from the first request until all of them are found in the server's database."""
    before = peer.stored()
    expected = before + sum(len(body.ids) for stream in work for body in stream)
    with Load(peer.url, work, headers=peer.headers) as load:
        if not load.join(PATIENCE_S):
            raise SystemExit(f"not all sent after {PATIENCE_S:.0f} s: {dict(load.answers)}")
        asked_s = time.monotonic()
        while peer.stored() < expected:
            if asked_s - load.started_s > PATIENCE_S:
                raise SystemExit(f"not all stored after {PATIENCE_S:.0f} s")
            time.sleep(0.05)
            asked_s = time.monotonic()
    if set(load.answers) != {"200"}:
        machine.say(f"answers: {dict(load.answers)}")
    return (expected - before) / (asked_s - load.started_s)


def _page_ms(page: Callable[[], int]) -> float:
    """Milliseconds of the median page. All of them have to be full."""
    took_ms = []
    for _ in range(PAGES):
        began_s = time.perf_counter()
        if page() != ROWS:
            raise SystemExit(f"a page that has not {ROWS} rows")
        took_ms.append((time.perf_counter() - began_s) * 1e3)
    return round(statistics.median(took_ms), 1)


if __name__ == "__main__":
    main()
