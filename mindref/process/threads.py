"""How many cores there are, and where libraries of matrix products look for their threads.

Nothing heavy is imported: the commands ask before NumPy is there.
"""

from __future__ import annotations

import os

PRODUCTS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Where libraries of matrix products look for their number of threads."""


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def several() -> bool:
    """Return whether torchrun has started this process among others."""
    return os.environ.get("WORLD_SIZE", "1") not in ("", "0", "1")


def share() -> int:
    """Return the cores for each of the processes that torchrun has started here, at least one."""
    here = os.environ.get("LOCAL_WORLD_SIZE", "1")
    return max(1, cores() // max(1, int(here) if here.isdecimal() else 1))
