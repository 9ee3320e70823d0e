"""The launcher: `streamlit run app.py` or `whence serve`. Pages, receiver and their lifespan; no logic."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import streamlit as st

from observability.collect.service import Service
from observability.explain.attribution import warm

_SHELL = Path(__file__).resolve().parent / "pages" / "shell.py"
_service = Service(
    Path(os.environ.get("WHENCE_STORE") or "fleet"),
    os.environ.get("WHENCE_URL") or "http://127.0.0.1:8501",
)


@contextlib.asynccontextmanager
async def _lifespan(app: object) -> AsyncIterator[None]:
    async with _service.lifespan(app):
        threading.Thread(target=warm, name="warm", daemon=True).start()
        yield


app = st.App(_SHELL, routes=_service.routes(), lifespan=_lifespan)
