"""Memory of the machine and limits on this process, checked before libraries run into a limit.

With too little memory OpenBLAS exits with code 1, and the libraries of Numba fail to load or loop
forever. Python code cannot catch either.
"""

from __future__ import annotations

import os
from contextlib import suppress

from mindref.errors import MindrefError, say
from mindref.process import cgroups

UNKNOWN_MEMORY = 1 << 62  # bytes, if the system reports nothing
MIN_ADDRESS_SPACE = 800 * 2**20
"""Bytes of address space that Python, NumPy, OpenBLAS and Numba take before any data is loaded."""


def check_memory() -> None:
    """Raise MindrefError if `ulimit -v` is too low for mindref to start (faults-R13)."""
    limit = address_space_limit()
    if limit is not None and limit < MIN_ADDRESS_SPACE:
        expected = f"an address space of at least {MIN_ADDRESS_SPACE >> 20} MB"
        got, todo = f"a limit of {limit >> 20} MB", "raise it with ulimit -v"
        raise MindrefError(say("memory", expected, got, todo))


def available_memory() -> int:
    """Return the bytes of memory available to this process, as far as the system reports them."""
    sizes = (UNKNOWN_MEMORY, total_memory(), cgroups.cgroup_memory())
    return min(size for size in sizes if size is not None)


def total_memory() -> int | None:
    """Return the bytes of memory of the machine, None if unknown."""
    with suppress(AttributeError, OSError, ValueError):  # not available on this system
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return size if size > 0 else None  # -1: unknown
    return None


def address_space_limit() -> int | None:
    """Return the address space limit in bytes, None for no limit."""
    with suppress(ImportError, OSError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        return None if limit == resource.RLIM_INFINITY else limit
    return None
