"""Number of usable cores, and the environment variables for the number of BLAS threads.

Imports only the standard library, because commands call this module before NumPy is imported.
"""

from __future__ import annotations

import os

BLAS_THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables from which BLAS libraries read their number of threads."""


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def is_multiprocess() -> bool:
    """Return whether torchrun started this process as one of several."""
    return os.environ.get("WORLD_SIZE", "1") not in ("", "0", "1")


def cores_per_process() -> int:
    """Return the cores per process that torchrun started on this machine, at least 1."""
    processes = os.environ.get("LOCAL_WORLD_SIZE", "1")
    return max(1, usable_cores() // max(1, int(processes) if processes.isdecimal() else 1))
