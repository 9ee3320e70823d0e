"""Compiles the scan before it is needed: it takes half a minute once on a machine, and a second later on.

Until it is done, whoever receives decodes body by body.
"""

from __future__ import annotations

import fcntl
import logging
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, TracesData

from observability.collect.bodies import Body, Stamp
from observability.collect.limits import Limits
from observability.collect.scan.compiled import cache_folder
from observability.collect.scan.together import decode_together
from traces import Decision, ModelVersion
from traces.codec import encode_decision
from traces.conventions import DECISION_SPAN_PREFIX, DEVICE_ID
from traces.otlp import key_values

_log = logging.getLogger("whence.collect")
_warm = threading.Event()
_started = threading.Lock()


def is_warm() -> bool:
    """Whether the scan is compiled in this process."""
    return _warm.is_set()


def warm_up() -> None:
    """Compile the scan in this process, or load what was compiled before."""
    if not _warm.is_set():
        decode_together([Body(_sample(), datetime.now(UTC))], Stamp("otlp", ""), Limits())
        folder = cache_folder()
        if folder is not None:
            (folder / "complete").touch()
        _warm.set()


def begin_to_warm_up() -> None:
    """Load what was compiled before; where nothing was, have it compiled beside the receiver."""
    folder = cache_folder()
    if folder is not None and _is_complete(folder):
        warm_up()
    elif _started.acquire(blocking=False):
        threading.Thread(target=_compile_beside, args=(folder,), daemon=True).start()


def _compile_beside(folder: Path | None) -> None:
    """In a process of its own, as compiling would stop this one's threads again and again."""
    try:
        if folder is not None:
            subprocess.run([sys.executable, "-m", __name__], check=True)  # noqa: S603
        warm_up()
    except Exception:  # noqa: BLE001  # the receiver does without
        _log.warning("the scan is not compiled: bodies are decoded one by one", exc_info=True)
    finally:
        _started.release()


def _compile_once() -> None:
    """Compile, unless another process does or has: several receivers may begin at once."""
    folder = cache_folder()
    if folder is None:
        return
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_complete(folder):
            warm_up()


def _is_complete(folder: Path) -> bool:
    return (folder / "complete").exists()


def _sample() -> bytes:
    """A request with a decision in it."""
    model = ModelVersion("m", "1", "sha256:0")
    decision = Decision("warm.up", model, "run", "executed", inputs={"a": 1.0}, context={"a": 1})
    span = Span(
        trace_id=b"t" * 16,
        span_id=b"s" * 8,
        name=DECISION_SPAN_PREFIX + decision.type,
        start_time_unix_nano=1,
        end_time_unix_nano=1,
        attributes=key_values(encode_decision(decision)),
    )
    spans = ResourceSpans(scope_spans=[ScopeSpans(spans=[span])])
    spans.resource.attributes.extend(key_values({DEVICE_ID: "warm"}))
    return TracesData(resource_spans=[spans]).SerializeToString()


if __name__ == "__main__":
    _compile_once()
