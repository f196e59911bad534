"""Numbers of threads: usable cores, and the environment variables from which libraries read them.

mindref, BLAS libraries and Numba read the variables when they are loaded. Importing this module
does not import NumPy, so that `set_thread_variables` can run before. Some of the libraries ignore a
value that is no number, and others raise an error at their first import, so that all variables are
checked together before any work. Spec: specs/faults.md, faults-R16.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from mindref.errors import ConfigError, say
from mindref.process.cgroups import cgroup_cores

POOL_VARIABLE = "MINDREF_THREADS"
"""Number of threads of the backend `numba` and of the top-n search."""

BLAS_THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables from which BLAS libraries read their number of threads."""

THREAD_VARIABLES = (POOL_VARIABLE, *BLAS_THREAD_VARIABLES, "NUMBA_NUM_THREADS")
MAX_THREADS = 1024  # as the option --threads

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


def check_thread_variables() -> None:
    """Raise ConfigError unless each variable is unset, empty, or a number from 1 to MAX_THREADS.

    OMP_NUM_THREADS may be a list, with one number for each level of nested threads.
    """
    wrong = dict[str, str]()
    for name in THREAD_VARIABLES:
        value = os.environ.get(name, "")
        numbers = value.split(",") if name == "OMP_NUM_THREADS" else [value]
        if value and not all(map(is_thread_count, numbers)):  # faults-R16
            wrong[name] = value
    if wrong:
        names, expected = ", ".join(wrong), f"a number of threads from 1 to {MAX_THREADS:,}"
        got, todo = ", ".join(map(repr, wrong.values())), f"set it, or unset {' '.join(wrong)}"
        raise ConfigError(say(names, expected, got, todo))


def is_thread_count(text: str) -> bool:
    """Return whether a text is a number of threads."""
    match = re.fullmatch("0*([1-9][0-9]{0,8})", text.strip())  # short: int() has a limit
    return match is not None and int(match[1]) <= MAX_THREADS


def pool_threads() -> int:
    """Return the number of threads in MINDREF_THREADS, by default 1. Raises ConfigError."""
    check_thread_variables()
    return int(os.environ.get(POOL_VARIABLE) or 1)


def thread_variables(backend: str, threads: int) -> dict[str, str]:
    """Return the variables that let a backend compute with a number of threads.

    The thread pool of `numba` and BLAS threads must not share the cores: steps then take twice as
    long. So one of the two has one thread.
    """
    pool, blas = (threads, 1) if backend == THREADED_BACKEND else (1, threads)
    return {POOL_VARIABLE: str(pool), **dict.fromkeys(BLAS_THREAD_VARIABLES, str(blas))}


def set_thread_variables(backend: str, threads: int | None) -> None:
    """Write the variables of a backend to the environment; must run before NumPy is imported.

    No other function of the package writes them. threads: None for the default. Results of `numba`
    are the same bytes for any number of threads: its default is all cores. The last bits of other
    backends depend on the number of BLAS threads: their default is 1, or an equal share of the
    cores for each of several processes. A variable of the environment overrides the default.
    """
    if threads is not None:
        variables = thread_variables(backend, threads)
    elif backend == THREADED_BACKEND:
        pool = int(os.environ.get(POOL_VARIABLE) or usable_cores())
        variables = thread_variables(backend, pool)
    elif is_multiprocess():
        blas = os.environ.get(BLAS_THREAD_VARIABLES[0])  # torchrun sets OMP_NUM_THREADS to 1
        variables = thread_variables(backend, int(blas or cores_per_process()))
    else:
        set_before = {x: os.environ[x] for x in BLAS_THREAD_VARIABLES if x in os.environ}
        variables = thread_variables(backend, 1) | set_before
    os.environ.update(variables)


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
