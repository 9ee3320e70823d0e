"""How the scan's functions are compiled: without the interpreter's lock, and kept on disk for the next start.

Numba looks at one file to see whether what it kept is still good, and these functions call each other
across files; so what is kept lies in a folder named by the content of all of them.
"""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path
from typing import Any

import numba
import numba.core.config

import traces

_config: Any = numba.core.config
_njit: Any = numba.njit


@functools.cache
def cache_folder() -> Path | None:
    """Where compiled code is kept; None where it cannot be, and each start has to compile."""
    here = Path(__file__).resolve().parent
    names = Path(traces.__file__).parent  # compiled code has the registry's names in it
    sources = [each.read_bytes() for top in (here, names) for each in sorted(top.glob("*.py"))]
    # Numba also tells what it kept apart by where its source lies.
    content = hashlib.sha256(b"".join([*sources, str(here).encode()])).hexdigest()[:16]
    try:
        given = os.environ.get("NUMBA_CACHE_DIR")
        folder = (Path(given) if given else Path.home() / ".cache" / "whence" / "numba") / content
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    return folder if os.access(folder, os.W_OK) else None


def compiled(function: Any) -> Any:
    """Compile a function when it is first called."""
    return _compiled(function, _njit(nogil=True))


def compiled_in_place(function: Any) -> Any:
    """Compile a function that makes no array, nor copies one.

    So it holds no reference to those that it is given: counting them, once a call and an atomic
    operation each, took half of the scan's time.
    """
    return _compiled(function, _njit(nogil=True, _nrt=False))


def _compiled(function: Any, compile_: Any) -> Any:
    made = compile_(function)
    folder = cache_folder()
    if folder is not None:
        before, _config.CACHE_DIR = _config.CACHE_DIR, str(folder)
        made.enable_caching()
        _config.CACHE_DIR = before
    return made
