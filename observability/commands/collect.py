"""`whence collect`: the receiver alone, without pages."""

from __future__ import annotations

import argparse
import signal
import threading

from observability.collect.receiver import TRACES_PATH
from observability.collect.serving import serving
from observability.explain.explain_job import ExplainJob
from observability.monitor.alert_job import AlertJob
from observability.monitor.cube_job import CubeJob
from observability.store.location import Location


def run(arguments: argparse.Namespace) -> int:
    """Receive until SIGTERM or Ctrl-C, then commit what is queued. Raises WrongUse or StoreError."""
    store: Location = arguments.store
    stopped = threading.Event()
    jobs = (ExplainJob, CubeJob, AlertJob)
    with serving(store, host=arguments.host, port=arguments.port, jobs=jobs) as url:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
        print(f"Whence collects into {store}\n  receiver  {url}{TRACES_PATH}", flush=True)
        stopped.wait()
    return 0
