"""The script of the app: navigation and the done mark around whichever page was asked for."""

from __future__ import annotations

import streamlit as st

from pages import routes
from pages.format import plain
from traces.errors import WhenceError

# From the act back to its cause.
MARK = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">
<g fill="none" stroke="#2B7FB8" stroke-width="2.4" stroke-linecap="round" stroke-linejoin="round">
<path d="M20 4v7a5 5 0 0 1-5 5H5"/><path d="M9 11.5 4.5 16 9 20.5"/></g>
<circle cx="20" cy="4" r="2.4" fill="#D9822B"/></svg>"""


def main() -> None:
    """Draw the asked page; what the store cannot give is one sentence, not a trace."""
    st.logo(MARK, size="small")
    page = st.navigation(
        [
            st.Page(routes.FLEET, title="Fleet", url_path="fleet", default=True),
            st.Page(routes.ALERTS, title="Alerts", url_path="alerts"),
            st.Page(routes.DECISIONS, title="Decisions", url_path="decisions"),
            st.Page(routes.DRIFT, title="Drift", url_path="drift"),
            st.Page(routes.EXPLANATIONS, title="Explanations", url_path="explanations"),
            st.Page(routes.GATES, title="Gates", url_path="gates"),
            st.Page(routes.PERFORMANCE, title="Performance", url_path="performance"),
            st.Page(routes.DECISION, title="Decision", url_path="decision", visibility="hidden"),
            st.Page(routes.DEVICE, title="Device", url_path="device", visibility="hidden"),
            st.Page(routes.HEALTH, title="Data health", url_path="health"),
        ],
        position="top",
    )
    st.set_page_config(page_title=f"{page.title} · Whence", page_icon=MARK, layout="wide")
    try:
        page.run()
    except WhenceError as error:
        st.error(plain(str(error)))


main()
st.html('<div data-testid="whence-done" hidden></div>')
