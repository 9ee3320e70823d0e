"""What Drift says of one device, on its own page: each trouble with the way to its figures."""

from __future__ import annotations

import streamlit as st

from observability.monitor.one_device import OfDevice
from observability.monitor.triage import Trouble
from pages import components, routes
from pages.drift_parts import DEVICE, INPUT, TYPE, choose
from pages.drift_troubles import line


def troubles(found: OfDevice, device_id: str) -> None:
    """The device's own troubles and those of the whole fleet; nothing where there is none."""
    listed = (*found.own, *found.shared)
    if not listed:
        return
    components.section("Troubles of its inputs", "as on the page Drift")
    with st.container(border=True, gap="xsmall", key="device_troubles"):
        for place, trouble in enumerate(listed):
            _trouble(place, trouble, device_id)


def _trouble(place: int, trouble: Trouble, device_id: str) -> None:
    stands = trouble.wrong and trouble.to is None and device_id in trouble.devices
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        line(trouble, stands=stands)
        if st.button("Drift", key=f"device_trouble_{place}", type="tertiary"):
            decision_type, name = trouble.decision_types[0], trouble.inputs[0]
            choose(decision_type, (device_id,), name)
            routes.go(routes.DRIFT, **{TYPE: decision_type, DEVICE: device_id, INPUT: name})
