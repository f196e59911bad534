"""Sizes that take no time, and backends with a fault, for the processes of the bench to load."""

from __future__ import annotations

import os
import sys
import time
from types import SimpleNamespace
from typing import Any

from mindref import ops
from mindref.backend import NumpyBackend
from mindref.bench.run import Plan
from mindref.bench.world import Settings

HERE = "tests.bench.small"
SMALL = Settings(
    batch=6,
    length=5,
    width=4,
    hidden=(3,),
    negatives=7,
    catalogue=40,
    users=5,
    top=3,
    threads=1,
)
QUICK: dict[str, Any] = {"rounds": 2, "warm_up": 1, "burst": 1, "lead": 0.0}


def plan(*names: str, tasks: tuple[str, ...] = ("step",), **more: Any) -> Plan:
    """Return a plan of next to no work."""
    return Plan(names, SMALL, tasks, **{**QUICK, **more})


class Talking(NumpyBackend):
    """Prints where answers go."""

    name = "talking"

    @property
    def ops(self) -> Any:
        """The operators, with some words."""
        print("hello from a library")
        os.write(1, b"and from its C code\n")
        return ops


def with_fault(fault: Any) -> Any:
    """Return the operators with a routing that does something else before it begins."""
    forward = ops.routing.forward

    def routed(*arrays: Any, **numbers: Any) -> Any:
        fault(len(arrays[0]))
        return forward(*arrays, **numbers)

    routing = SimpleNamespace(forward=routed, backward=ops.routing.backward)
    return SimpleNamespace(**{**{name: getattr(ops, name) for name in ops.OPS}, "routing": routing})


def backend(name: str, fault: Any) -> Any:
    """Return the reference with a fault in routing."""
    made = type(name, (NumpyBackend,), {"name": name, "ops": with_fault(fault)})
    return made


def fail(users: int) -> None:
    """Raise what a stranger's code may raise."""
    raise KeyError("something of its own")


def leave(users: int) -> None:
    """End the process, with words."""
    print("out of here", file=sys.stderr)
    sys.stderr.flush()
    os._exit(3)


def sleep(users: int) -> None:
    """Take too long, but not for the few users of the rehearsal."""
    if users == SMALL.batch:
        time.sleep(600)


Failing = backend("failing", fail)
Leaving = backend("leaving", leave)
Sleeping = backend("sleeping", sleep)


class Other(NumpyBackend):
    """Computes another function: twice the loss."""

    name = "other"

    @property
    def ops(self) -> Any:
        """The operators, but for the loss."""
        true = ops.sampled_softmax

        def forward(*arrays: Any, **numbers: Any) -> Any:
            out, saved = true.forward(*arrays, **numbers)
            return out * 2, saved

        wrong = SimpleNamespace(forward=forward, backward=true.backward)
        named = {name: getattr(ops, name) for name in ops.OPS}
        return SimpleNamespace(**{**named, "sampled_softmax": wrong})
