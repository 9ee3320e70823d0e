"""The app: pages, the OTLP receiver and its workers, in one process on one port. No logic.

`whence serve` runs it; WHENCE_STORE, WHENCE_FILES and WHENCE_URL say what it serves and where.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import streamlit as st

from observability.collect.service import Service
from observability.explain.explain_job import ExplainJob
from observability.monitor.alert_job import AlertJob
from observability.monitor.cube_job import CubeJob
from observability.store.location import location_here

service = Service(
    location_here(),
    os.environ.get("WHENCE_URL", "http://127.0.0.1:8501"),
    jobs=(ExplainJob, CubeJob, AlertJob),
)


@contextlib.asynccontextmanager
async def lifespan(_app: st.App) -> AsyncIterator[None]:
    """Receive, and load what explanations need, while the app runs."""
    from observability.explain.attribution import warm

    with service.running():
        warming = asyncio.create_task(asyncio.to_thread(warm))
        yield
        await warming


app = st.App(
    str(Path(__file__).parent / "pages" / "shell.py"), routes=service.routes(), lifespan=lifespan
)
