"""Number of usable cores, and the number of BLAS threads.

Importing this module does not import NumPy: commands set the environment variables before.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from mindref.process.cgroups import cgroup_cores

BLAS_THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables from which BLAS libraries read their number of threads."""

THREADED_BACKEND = "numba"
"""The backend that has a thread pool. BLAS then has one thread."""


def usable_cores() -> int:
    """Return the number of cores that this process may use, at least 1.

    A CPU limit of a control group, as in a container, counts in whole cores.
    """
    limit = cgroup_cores()
    allowed = affinity_cores()
    return allowed if limit is None else min(allowed, max(1, math.floor(limit)))


def affinity_cores() -> int:
    """Return the number of cores on which the system may run this process."""
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


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit the loaded BLAS libraries to one thread in the block, and restore the limits after it.

    The thread pool of `numba` and BLAS threads must not share the cores. With one BLAS thread, the
    order of sums does not depend on the machine either. The limit applies to the whole process.
    """
    from threadpoolctl import threadpool_limits

    import_module("scipy.linalg.cython_blas")  # only a loaded library can be limited
    with threadpool_limits(1, "blas"):
        yield


@contextmanager
def limit_blas_threads(backend: str) -> Iterator[None]:
    """Limit BLAS to one thread in the block, as the commands do.

    Exception: OPENBLAS_NUM_THREADS sets the number for all backends except `numba`.
    """
    if backend != THREADED_BACKEND and os.environ.get(BLAS_THREAD_VARIABLES[0]):
        yield
        return
    with one_blas_thread():
        yield
