"""The backend `numba`: the operators, the fused model and the fused training step.

Spec: specs/backend.md. Numba is imported when `ops` or a level is first asked for.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from types import ModuleType
from typing import Any, NamedTuple
from weakref import WeakSet

from mindref.backend import OPERATORS, OPTIONS, Capabilities
from mindref.config import Config
from mindref.models import mind
from mindref.models.parameters import Catalogue, Gradients, Params, flatten, unflatten
from mindref.shapes import Array, Bools
from mindref.training.optimiser import State as Moments

GENERAL = ("routing-R25", "routing-R26")
"""A matrix for each pair of behaviour and interest: for study, and left to the reference."""


living: WeakSet[Any] = WeakSet()
"""All backends of this process."""


def forget() -> None:
    """Take buffers, threads and a lock of their own for all, in the child of a fork.

    The threads have stayed behind, one of them perhaps with the lock. At once and not at the first
    call, as several threads may make that one together.
    """
    for backend in list(living):
        backend.kept, backend.lock = None, Lock()  # backend-R18


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget)


@cache
def fused(name: str) -> ModuleType:
    """Return a module of the fused path, which brings Numba."""
    return importlib.import_module(f"mindref.kernels.fused.{name}")


class State(NamedTuple):
    """What a training step moves, in place."""

    params: Params
    moments: Moments


class NumbaBackend:
    """Compiled operators; levels 2 and 3 without padding and with kept buffers."""

    name = "numba"

    def __init__(self) -> None:
        self.kept: Any = None
        self.lock = Lock()  # the buffers serve one caller at a time, with all threads
        living.add(self)

    def __reduce__(self) -> Any:
        """Say how a copy is made: with buffers, threads and a lock of its own."""
        return type(self), ()

    @property
    def ops(self) -> ModuleType:
        """The modules of `mindref.kernels.operators`."""
        return importlib.import_module("mindref.kernels.operators")

    def capabilities(self) -> Capabilities:
        """Claim all but the general matrices of routing."""
        options = tuple(rule for rule in OPTIONS if rule not in GENERAL)
        return Capabilities(OPERATORS, ("ops", "model", "train"), options=options)

    def to_numpy(self, x: Any) -> Any:
        """Return x: its arrays are NumPy's."""
        return x

    def from_numpy(self, x: Any) -> Any:
        """Return x: its arrays are NumPy's."""
        return x

    def work(self) -> Any:
        """Return the buffers of this backend, made when they are first needed."""
        if self.kept is None:
            self.kept = fused("workspace").Workspace()
        return self.kept

    @contextmanager
    def alone(self) -> Iterator[Any]:
        """Have the buffers for oneself, with all threads."""
        with self.lock:  # backend-R18
            yield self.work()

    def loss_and_gradients(
        self, params: Params, batch: mind.Batch, catalogue: Catalogue, config: Config
    ) -> tuple[Array, Gradients]:
        """Return the loss of a batch and all gradients, in memory of their own."""
        step = fused("step")
        with self.alone() as work:
            made = step.Step(work, params, batch, catalogue, config)
            found: tuple[Array, Gradients] = made.loss_and_gradients()
            return found

    def interests(
        self, params: Params, histories: mind.Histories, catalogue: Catalogue, config: Config
    ) -> tuple[Array, Bools]:
        """Return interests (B, K, D) and which are active (B, K)."""
        forward = fused("forward")
        with self.alone() as work:
            given = (params, histories, catalogue, config)
            found: tuple[Array, Bools] = forward.Forward(work, *given).run()
            return found

    def init(self, params: Params, config: Config, moments: Moments | None = None) -> State:
        """Return the state before the first step, or after those of `moments`, with own arrays."""
        workspace = fused("workspace")
        own = workspace.aligned_copies(flatten(params))
        if moments is None:
            zeros = (workspace.aligned_zeros(own) for _ in range(2))
            return State(unflatten(own), Moments(0, *zeros))
        step, *both = moments
        return State(unflatten(own), Moments(step, *map(workspace.aligned_copies, both)))

    def step(
        self,
        state: State,
        batch: mind.Batch,
        catalogue: Catalogue,
        config: Config,
        learning_rate: float,
    ) -> tuple[State, Array]:
        """Take one step, changing the arrays of the state in place; return it and the loss.

        With a loss that is not finite nothing moves; NaN: a gradient is not finite (optimiser-R14).
        """
        step, adam = fused("step"), fused("adam")
        with self.alone() as work:
            made = step.Step(work, state.params, batch, catalogue, config)
            loss, moments = adam.Update(made, state.moments, learning_rate).run()
            return state._replace(moments=moments), loss

    def parameters(self, state: State) -> Params:
        """Return the parameters of a state: its own, good until the next step."""
        return state.params

    def moments(self, state: State) -> Moments:
        """Return the moments of a state: its own, good until the next step."""
        return state.moments
