"""Who acts: on loopback the person is the operating-system user, whom nobody has verified."""

from __future__ import annotations

import getpass
import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    """A person, and how they were identified."""

    name: str
    identity: str = "unverified"


def person_here() -> Person:
    """The user whom this process belongs to."""
    try:
        return Person(getpass.getuser())
    except (OSError, KeyError):  # a container may run as a number that has no name
        return Person(f"uid {os.getuid()}")
