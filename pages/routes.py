"""Where the pages lie and how one leads to another: in this session, the time range kept."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import streamlit as st

from pages import time_range

_HERE = Path(__file__).parent
FLEET = _HERE / "fleet.py"
DECISIONS = _HERE / "decisions.py"
DECISION = _HERE / "decision.py"


def go(page: Path, **parameters: str) -> NoReturn:
    """Switch to a page with URL parameters, keeping the time range."""
    st.switch_page(page, query_params={**time_range.parameters(), **parameters})
