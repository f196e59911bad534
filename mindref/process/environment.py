"""Environment variables with numbers of threads, checked together before any work.

mindref, BLAS libraries and Numba read these variables. Some of the libraries ignore a value that is
no number, and others raise an error at their first import. Spec: specs/faults.md, faults-R16.
"""

from __future__ import annotations

import os

from mindref.errors import ConfigError, say
from mindref.process.threads import BLAS_THREAD_VARIABLES

POOL_VARIABLE = "MINDREF_THREADS"
"""Number of threads of the backend `numba` and of the top-n search."""

THREAD_VARIABLES = (POOL_VARIABLE, *BLAS_THREAD_VARIABLES, "NUMBA_NUM_THREADS")
MAX_THREADS = 1024  # as the option --threads


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
    digits = text.strip()
    if not (digits.isascii() and digits.isdecimal()):
        return False
    digits = digits.lstrip("0")
    return len(digits) <= len(str(MAX_THREADS)) and 1 <= int(digits or "0") <= MAX_THREADS


def pool_threads() -> int:
    """Return the number of threads in MINDREF_THREADS, by default 1. Raises ConfigError."""
    check_thread_variables()
    return int(os.environ.get(POOL_VARIABLE) or 1)
