"""The catalogue of the faults, and the decorators that add a fault to it.

The kind of a fault is the name of its module. `check` is a check of the profile "smoke" that the
fault fails. If the suite does not kill the fault, `reason` says why, and `check` is "".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mindref.backend import CONCURRENCY
from tests.conformance.independent.levels import IndependentBackend

LONG_AXIS = "sizes/long_axis_matches_the_reference"
LONG_MODEL_AXIS = "model/long_axis_matches_the_reference"
LAYOUT = "layouts/memory_layout_has_no_influence"
LATER_STEPS = "many_steps/each_step_follows_from_the_state_before_it"
THREADS = "concurrency/concurrent_callers_get_the_bytes_of_one_caller"
FORK = "concurrency/child_of_a_fork_gets_the_bytes_of_its_parent"
REPEATS = "concurrency/large_calls_repeat_their_bytes"


class FaultyBackend(IndependentBackend):
    """A backend that differs from the right backend in one place."""

    kind: str
    check: str
    reason: str


FAULTS: dict[str, type[FaultyBackend]] = {}
"""Name of each fault -> its backend."""

Decorator = Callable[[Any], type[FaultyBackend]]


def faulty_backend(check: str = "", *, reason: str = "") -> Decorator:
    """Add a class of a backend to the catalogue."""

    def add_backend(backend: type[FaultyBackend]) -> type[FaultyBackend]:
        backend.name = backend.__name__
        backend.kind = backend.__module__.rpartition(".")[2]
        backend.check, backend.reason = check, reason
        # a check of concurrent callers takes seconds, so only faults of threads claim these checks
        backend.concurrency = CONCURRENCY if backend.kind == "threads" else ()
        FAULTS[backend.name] = backend
        return backend

    return add_backend


def faulty_operator(stem: str, check: str = "", *, reason: str = "") -> Decorator:
    """Add a class of the operator `stem` to the catalogue, and return the backend with it."""

    def add_operator(operator: Any) -> type[FaultyBackend]:
        namespace = {"__module__": operator.__module__, "__doc__": operator.__doc__}
        namespace["operators"] = {stem: operator}
        backend = type(operator.__name__, (FaultyBackend,), namespace)
        return faulty_backend(check, reason=reason)(backend)

    return add_operator
