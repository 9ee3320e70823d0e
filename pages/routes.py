"""Where the pages lie and how one leads to another, within the reader's session.

The time range goes along by itself: its parameters are bound to a control of the same name.
"""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import streamlit as st

from pages import filters

_HERE = Path(__file__).parent
FLEET = _HERE / "fleet.py"
ALERTS = _HERE / "alerts.py"
DECISIONS = _HERE / "decisions.py"
DECISION = _HERE / "decision.py"
DEVICE = _HERE / "device.py"
HEALTH = _HERE / "health.py"
DRIFT = _HERE / "drift.py"
EXPLANATIONS = _HERE / "explanations.py"
GATES = _HERE / "gates.py"
PERFORMANCE = _HERE / "performance.py"


def go(page: Path, **parameters: str) -> NoReturn:
    """Switch to a page with these parameters; filters chosen on an earlier visit are forgotten."""
    for name in filters.NAMES:
        if name in st.session_state and page == DECISIONS:
            del st.session_state[name]
    st.switch_page(page, query_params=parameters)
