"""A tiny workload, and faulty backends that worker processes load."""

from __future__ import annotations

import os
import sys
import time
from types import SimpleNamespace
from typing import Any

from mindref import ops
from mindref.backend import NumpyBackend
from mindref.bench.run import BenchPlan
from mindref.bench.workload import WorkloadSettings

HERE = "tests.bench.tiny_workload"
SMALL = WorkloadSettings(
    batch=6, length=5, width=4, hidden=(3,), negatives=7, catalogue=40, users=5, top=3, threads=1
)
QUICK: dict[str, Any] = {"rounds": 2, "warm_up": 1, "burst": 1, "lead": 0.0}


def plan(*names: str, tasks: tuple[str, ...] = ("step",), **options: Any) -> BenchPlan:
    """Return a plan for the tiny workload."""
    return BenchPlan(names, SMALL, tasks, **{**QUICK, **options})


class Talking(NumpyBackend):
    """Prints to standard output, where answers are written."""

    name = "talking"

    @property
    def ops(self) -> Any:
        """The operators; prints a text."""
        print("hello from a library")
        os.write(1, b"and from its C code\n")
        return ops


def changed_operators(stem: str, forward: Any) -> Any:
    """Return the operators with another forward of one of them."""
    changed = SimpleNamespace(forward=forward, backward=ops.OPS[stem].backward)
    return SimpleNamespace(**{**ops.OPS, stem: changed})


def backend(name: str, fault: Any) -> Any:
    """Return the reference with a routing that calls `fault` first."""

    def routed(*arrays: Any, **numbers: Any) -> Any:
        fault(len(arrays[0]))
        return ops.routing.forward(*arrays, **numbers)

    operators = changed_operators("routing", routed)
    return type(name, (NumpyBackend,), {"name": name, "ops": operators})


def fail(users: int) -> None:
    """Raise an error, as third-party code may."""
    raise KeyError("something of its own")


def leave(users: int) -> None:
    """End the process with a message."""
    print("out of here", file=sys.stderr)
    sys.stderr.flush()
    os._exit(3)


def sleep(users: int) -> None:
    """Take too long, except for the users of the tiny warm-up workload."""
    if users == SMALL.batch:
        time.sleep(600)


Failing = backend("failing", fail)
Leaving = backend("leaving", leave)
Sleeping = backend("sleeping", sleep)


def twice_the_loss(*arrays: Any, **numbers: Any) -> Any:
    out, saved = ops.sampled_softmax.forward(*arrays, **numbers)
    return out * 2, saved


Other = type(
    "other",
    (NumpyBackend,),
    {"name": "other", "ops": changed_operators("sampled_softmax", twice_the_loss)},
)
