"""What every test runs under: hypothesis without deadlines, the same examples each time, no files left behind."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile("fixed", deadline=None, derandomize=True, database=None, max_examples=60)
settings.register_profile(
    "attack",
    deadline=None,
    database=None,
    max_examples=1500,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))
