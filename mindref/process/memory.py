"""How much memory there is for this process; a limit is looked at before libraries meet it.

OpenBLAS ends the process by itself, with exit code 1, and the libraries of Numba cannot be loaded
or go round in circles where there is too little: nothing of that can be caught.
"""

from __future__ import annotations

import os
from contextlib import suppress

from mindref.errors import MindrefError, say
from mindref.process import cgroups

MOST = 1 << 62  # bytes: where nobody says
LEAST = 800 * 2**20
"""Bytes of address space that Python, NumPy, OpenBLAS and Numba take before there is any data."""


def check_memory() -> None:
    """Raise MindrefError where `ulimit -v` leaves too little to begin at all (faults-R13)."""
    limit = allowed()
    if limit is not None and limit < LEAST:
        expected = f"an address space of at least {LEAST >> 20} MB"
        got, todo = f"a limit of {limit >> 20} MB", "raise it with ulimit -v"
        raise MindrefError(say("memory", expected, got, todo))


def room() -> int:
    """Return the bytes of memory that this process may have, as far as the system says so."""
    return min(x for x in (MOST, total(), cgroups.granted_bytes()) if x is not None)


def total() -> int | None:
    """Return the bytes of memory of the machine, or None where that is not known."""
    with suppress(AttributeError, OSError, ValueError):  # another system
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return size if size > 0 else None  # -1: it does not know
    return None


def allowed() -> int | None:
    """Return the bytes of address space that this process may have, None for any number."""
    with suppress(ImportError, OSError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        return None if limit == resource.RLIM_INFINITY else limit
    return None
