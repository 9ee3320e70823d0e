"""Trace files: OTLP JSON lines, one TracesData a line, readable by Jaeger's UI and the Collector.

A file appears under its name only when it is whole.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from traces.errors import InvalidPayload, TraceFileError
from traces.otlp import SpanGroup
from traces.otlp_json import decode_json, encode_json

SPANS_PER_LINE = 256


def write_trace_file(path: Path, spans: Iterable[tuple[ResourceSpans, Span]]) -> None:
    """Write spans with their envelopes, in order, at most 256 a line, runs of one envelope together."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("w", encoding="utf-8") as file:
            remaining = iter(spans)
            while line := list(itertools.islice(remaining, SPANS_PER_LINE)):
                runs = [
                    list(run) for _, run in itertools.groupby(line, key=lambda pair: id(pair[0]))
                ]
                groups = [(run[0][0], [span for _, span in run]) for run in runs]
                file.write(encode_json(groups) + "\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise TraceFileError(
            f"{path}, which cannot be written: {error.strerror}", "a writable place"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def read_trace_file(path: Path) -> Iterator[tuple[int, list[SpanGroup]]]:
    """The size in bytes and the groups of each line.

    Raises TraceFileError, naming the line, where one is not OTLP JSON.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                yield len(line), _groups(path, number, line) if line.strip() else []
    except OSError as error:
        raise TraceFileError(
            f"{path}, which cannot be read: {error.strerror}", "an OTLP JSON-lines file"
        ) from error


def _groups(path: Path, number: int, line: bytes) -> list[SpanGroup]:
    try:
        return decode_json(line)
    except InvalidPayload as error:
        raise TraceFileError(
            f"line {number} of {path}: {error.found}", "one TracesData object a line"
        ) from error
