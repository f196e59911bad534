"""Engines of training: steps of the backend, or of the reference with a backend's operators.

Spec: specs/backend.md, the three levels. A backend of level `train` takes whole steps and stores
the parameters. With level `model` the engine uses loss and gradients of the backend, with level
`ops` its operators; the optimiser is then the reference.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

import numpy as np

from mindref.backend import Backend, backend_errors
from mindref.errors import BackendError, say
from mindref.models import mind
from mindref.models.family import backend_computes, family_of, operators_of
from mindref.models.parameters import (
    Catalogue,
    Params,
    Tables,
    flatten,
    flatten_gradients,
    unflatten,
)
from mindref.ops.embedding import RowGradient
from mindref.training import divergence, optimiser
from mindref.training.divergence import Diverged


class Engine(Protocol):
    """Interface: take steps and return the state."""

    backend: Any

    def step(self, batch: mind.Batch, learning_rate: float) -> float:
        """Take a step; return its loss."""

    def fetch_state(self) -> tuple[Params, optimiser.State]:
        """Return parameters and moments as NumPy arrays, valid until the next step."""


def make_engine(
    backend: Backend, params: Params, moments: optimiser.State, catalogue: Catalogue, config: Any
) -> Engine:
    """Return the engine for a backend, with these initial parameters and moments.

    Raises BackendError for a backend without gradients (backend-R9), and errors of the backend.
    """
    claims = backend.capabilities()
    with backend_errors(backend, "the start of training"):
        if backend_computes(backend, config, "train"):
            return BackendEngine(backend, params, moments, catalogue, config)
    has_gradients = claims.gradients == "derived" or "model" in claims.levels
    # `check_trainable` has checked the backend for a family outside the contract
    if family_of(config.model).in_contract and not has_gradients:
        todo = "it can evaluate and recall; train with another --backend"
        got = f"gradients {claims.gradients!r}"
        raise BackendError(say(f"backend {backend.name}", "operators with backward", got, todo))
    return ReferenceEngine(backend, params, moments, catalogue, config)


class ReferenceEngine:
    """Gradients of the backend, Adam of the reference. Arrays are changed in place."""

    def __init__(
        self,
        backend: Backend,
        params: Params,
        moments: optimiser.State,
        catalogue: Catalogue,
        config: Any,
    ) -> None:
        self.backend: Any = backend
        self.params, self.moments = params, moments
        self.catalogue, self.config = catalogue, config
        self.family = family_of(config.model)
        self.ops = partial(operators_of, backend, config)
        self.fused = backend_computes(backend, config, "model")

    def step(self, batch: mind.Batch, learning_rate: float) -> float:
        """Take one step: loss, gradients, Adam. Raises Diverged before any parameter changes."""
        config, step = self.config, self.moments.step + 1
        with backend_errors(self.backend, f"step {step}"):
            loss, gradients = self.differentiate(batch)
            by_name = {} if gradients is None else flatten_gradients(gradients)
            bad = [name for name, x in by_name.items() if not divergence.has_finite_squares(x)]
            if gradients is None or bad:  # optimiser-R14
                got = f"a gradient of {', '.join(bad)} beyond all bounds" if bad else f"{loss}"
                raise Diverged(step, got)
            self.moments = optimiser.update(
                flatten(self.params),
                by_name,
                self.moments,
                learning_rate=learning_rate,
                beta1=config.beta1,
                beta2=config.beta2,
                epsilon=config.epsilon,
                dense_rate=config.dense_rate,
                dense=config.adam == "dense",
            )
            if self.family.project is not None:
                self.family.project(self.params, gradients)
        return loss

    def differentiate(self, batch: mind.Batch) -> tuple[float, Tables | None]:
        """Return the loss of a batch and its gradients; None for a loss that is not finite."""
        if self.fused:
            backend_loss, gradients = self.backend.loss_and_gradients(
                self.params, batch, self.catalogue, self.config
            )
            loss = float(self.backend.to_numpy(backend_loss))
            return loss, gradients_to_numpy(gradients, self.backend) if np.isfinite(loss) else None
        ops = self.ops()  # backend-R6
        with np.errstate(over="ignore", invalid="ignore"):  # the caller checks the result
            value, saved = self.family.loss(self.params, batch, self.catalogue, self.config, ops)
            loss = float(value)
            return loss, self.family.backward(saved, ops=ops) if np.isfinite(loss) else None

    def fetch_state(self) -> tuple[Params, optimiser.State]:
        """Return the parameters and moments, not copied."""
        return self.params, self.moments


class BackendEngine:
    """Training steps of the backend (level `train`)."""

    def __init__(
        self,
        backend: Any,
        params: Params,
        moments: optimiser.State,
        catalogue: Catalogue,
        config: Any,
    ) -> None:
        self.backend, self.catalogue, self.config = backend, catalogue, config
        self.count = moments.step
        self.state = backend.init(params, config, moments)  # backend-R15

    def step(self, batch: mind.Batch, learning_rate: float) -> float:
        """Take one step. Raises Diverged after the step; the parameters may be invalid."""
        step = self.count + 1
        with backend_errors(self.backend, f"step {step}"):
            self.state, loss = self.backend.step(
                self.state, batch, self.catalogue, self.config, learning_rate
            )
            lost = float(self.backend.to_numpy(loss))
        if not np.isfinite(lost):  # optimiser-R14
            raise Diverged(step, str(lost))
        self.count = step
        return lost

    def fetch_state(self) -> tuple[Params, optimiser.State]:
        """Return parameters and moments, copied from the backend."""
        with backend_errors(self.backend, f"the state after step {self.count}"):
            fetch = self.backend.to_numpy
            params = flatten(self.backend.parameters(self.state))
            moments = self.backend.moments(self.state)  # backend-R15
            if int(moments.step) != self.count:
                subject, got = f"backend {self.backend.name}: moments", f"step {moments.step}"
                raise BackendError(say(subject, f"step {self.count}", got))
            first = {name: fetch(x) for name, x in moments.first.items()}
            second = {name: fetch(x) for name, x in moments.second.items()}
            params = {name: fetch(x) for name, x in params.items()}
            kind = family_of(self.config.model).params
            return unflatten(params, kind), optimiser.State(int(moments.step), first, second)


def gradients_to_numpy(gradients: Any, backend: Backend) -> Any:
    """Return gradients of a backend of level `model` as NumPy arrays."""
    fetch: Any = backend.to_numpy

    def fetch_gradient(x: Any) -> Any:
        if isinstance(x, RowGradient):
            return x._replace(rows=np.asarray(fetch(x.rows)), values=fetch(x.values))
        return fetch(x)

    by_name = {name: fetch_gradient(x) for name, x in flatten_gradients(gradients).items()}
    return unflatten(by_name, type(gradients))
