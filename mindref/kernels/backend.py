"""The backend `numba`: the operators, the fused model and the fused training step.

Spec: specs/backend.md. Numba is imported when `ops` or a level is first used.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from types import SimpleNamespace
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from weakref import WeakSet

from mindref.backend import CONCURRENCY, OPERATORS, OPTIONS, Capabilities
from mindref.config import Config
from mindref.errors import BackendError, say
from mindref.kernels.contiguous import contiguous_arrays
from mindref.kernels.fused.additions import FusedParams, ModelInputs, is_fused
from mindref.models import mind, mind_plus, youtube_dnn
from mindref.models.family import family_of
from mindref.models.parameters import Catalogue, flatten, unflatten
from mindref.shapes import Array, Bools
from mindref.training.optimiser import State as Moments

if TYPE_CHECKING:
    from mindref.kernels._jit import Number
    from mindref.kernels.fused.step import FusedGradients, FusedStep
    from mindref.kernels.fused.workspace import KernelWorkspace

GENERAL = ("routing-R25", "routing-R26")
"""A matrix S for each pair of behaviour and interest; only the reference has these options."""


FusedBatch = mind.Batch | mind_plus.Batch
T = TypeVar("T")

live_backends: WeakSet[NumbaBackend] = WeakSet()
"""All backends of this process."""


def reset_after_fork() -> None:
    """Give all backends new buffers, threads and locks, in the child process of a fork.

    Threads do not survive a fork, and one of them may have held the lock. The reset happens at once
    and not at the first call, because several threads may make the first call together.
    """
    for backend in list(live_backends):
        backend.cached_workspace, backend.lock = None, Lock()  # backend-R22


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=reset_after_fork)


class NumbaState(NamedTuple):
    """The arrays that a training step updates in place."""

    params: FusedParams
    moments: Moments


@cache
def compiled_operators() -> SimpleNamespace:
    """Return the modules of this package with the names of the operators of mindref.ops."""
    modules = {x: importlib.import_module(f"mindref.kernels.{x}") for x in OPERATORS}
    return SimpleNamespace(**modules)


def make_step(
    work: KernelWorkspace,
    params: FusedParams,
    batch: FusedBatch,
    catalogue: Catalogue,
    config: Config,
) -> FusedStep:
    """Return the fused step of a batch of MIND, mind_plus or YouTube DNN.

    Raises BackendError for settings that `computes_family` leaves to the operators.
    """
    from mindref.kernels.fused.step import FusedStep

    if isinstance(params, mind_plus.Params) and not is_fused(config):
        expected = "settings for which computes_family is true"
        raise BackendError(say("backend numba: config", expected, "other settings of mind_plus"))
    with_dropout = batch if isinstance(batch, mind_plus.Batch) else mind_plus.Batch(batch, None)
    shared, keep = contiguous_arrays(with_dropout)
    return FusedStep(work, params, shared, contiguous_arrays(catalogue), config, keep)


def with_row_types(
    gradients: FusedGradients, catalogue: Catalogue, batch: FusedBatch
) -> FusedGradients:
    """Return `gradients`, whose row numbers have the integer types of the arguments."""
    shared = batch.shared if isinstance(batch, mind_plus.Batch) else batch
    items, profile = gradients.items, gradients.profile
    item_rows = items.rows.astype(catalogue.rows.dtype, copy=False)
    profile_rows = profile.rows.astype(shared.histories.profile.dtype, copy=False)
    return gradients._replace(
        items=items._replace(rows=item_rows), profile=profile._replace(rows=profile_rows)
    )


class NumbaBackend:
    """Compiled operators; levels 2 and 3 without padding and with reused buffers."""

    name = "numba"

    def __init__(self, threads: int | None = None) -> None:
        """Create a backend; threads: by default MINDREF_THREADS, or one."""
        self.threads = threads
        self.cached_workspace: KernelWorkspace | None = None
        self.lock = Lock()  # one caller at a time uses the buffers and all threads
        live_backends.add(self)

    def __reduce__(self) -> tuple[type[NumbaBackend], tuple[int | None]]:
        """Return how to copy this backend: a copy has new buffers, threads and a new lock."""
        return type(self), (self.threads,)

    @property
    def ops(self) -> SimpleNamespace:
        """The compiled operators under the names of the reference."""
        return compiled_operators()

    def capabilities(self) -> Capabilities:
        """Claim everything except the general matrices of routing."""
        options = tuple(rule for rule in OPTIONS if rule not in GENERAL)
        levels, families = ("ops", "model", "train"), ("mind", "mind_plus", "youtube_dnn")
        return Capabilities(
            OPERATORS, levels, options=options, families=families, concurrency=CONCURRENCY
        )

    def computes_family(self, config: Config) -> bool:
        """Return whether levels 2 and 3 compute a claimed family with these settings."""
        params = family_of(config.model).params
        if params is mind_plus.Params:
            return is_fused(config)
        return params is youtube_dnn.Params

    def to_numpy(self, x: T) -> T:
        """Return x, whose arrays are NumPy arrays."""
        return x

    def from_numpy(self, x: T) -> T:
        """Return x, whose arrays are NumPy arrays."""
        return x

    def workspace(self) -> KernelWorkspace:
        """Return the buffers and threads of this backend, created at the first call."""
        from mindref.kernels.fused.workspace import KernelWorkspace

        if self.cached_workspace is None:
            self.cached_workspace = KernelWorkspace(self.threads)
        return self.cached_workspace

    @contextmanager
    def exclusive_workspace(self) -> Iterator[KernelWorkspace]:
        """Lock the buffers and threads for one caller."""
        with self.lock:  # backend-R18
            yield self.workspace()

    def loss_and_gradients(
        self, params: FusedParams, batch: FusedBatch, catalogue: Catalogue, config: Config
    ) -> tuple[Number, FusedGradients]:
        """Return the loss of a batch and all gradients, in new arrays."""
        with self.exclusive_workspace() as work:
            step = make_step(work, contiguous_arrays(params), batch, catalogue, config)
            loss, gradients = step.loss_and_gradients()
        return loss, with_row_types(gradients, catalogue, batch)

    def interests(
        self, params: FusedParams, histories: mind.Histories, catalogue: Catalogue, config: Config
    ) -> tuple[Array, Bools]:
        """Return interests (B, K, D) and active (B, K), in new arrays."""
        from mindref.kernels.fused.forward import FusedForward

        inputs = ModelInputs(params, histories, catalogue, config)
        with self.exclusive_workspace() as work:
            return FusedForward(work, contiguous_arrays(inputs)).run()

    def init(
        self, params: FusedParams, config: Config, moments: Moments | None = None
    ) -> NumbaState:
        """Return a state with copies of the arrays; moments: the state of an earlier training."""
        from mindref.kernels.fused.workspace import aligned_copies, aligned_zeros

        copies = aligned_copies(flatten(params))
        if moments is None:
            copied = Moments(0, aligned_zeros(copies), aligned_zeros(copies))
        else:
            first, second = aligned_copies(moments.first), aligned_copies(moments.second)
            copied = Moments(moments.step, first, second)
        return NumbaState(unflatten(copies, type(params)), copied)

    def step(
        self,
        state: NumbaState,
        batch: FusedBatch,
        catalogue: Catalogue,
        config: Config,
        learning_rate: float,
    ) -> tuple[NumbaState, Number]:
        """Update the arrays of the state in place; return the state and the loss.

        If the loss is not finite, no parameter changes. The loss is NaN if a gradient is not finite
        (optimiser-R14).
        """
        from mindref.kernels.fused.adam import AdamUpdate

        with self.exclusive_workspace() as work:
            step = make_step(work, state.params, batch, catalogue, config)
            loss, moments = AdamUpdate(step, state.moments, learning_rate).run()
            return state._replace(moments=moments), loss

    def parameters(self, state: NumbaState) -> FusedParams:
        """Return the parameters of a state; the next step overwrites them."""
        return state.params

    def moments(self, state: NumbaState) -> Moments:
        """Return the moments of a state; the next step overwrites them."""
        return state.moments
