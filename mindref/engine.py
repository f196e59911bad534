"""Who takes the steps of a training: the backend itself, or the reference by way of it.

Spec: specs/backend.md, the three levels. A backend that claims `train` keeps the parameters where
it likes; of one that claims less, loss and gradients are taken (level 2), or composed of its
operators (level 1), and the optimiser is the reference's.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from mindref import optimiser
from mindref.backend import Backend, answering
from mindref.config import Config
from mindref.errors import BackendError, MindrefError, say
from mindref.models import mind
from mindref.models.parameters import (
    Catalogue,
    Gradients,
    Params,
    flatten,
    flatten_gradients,
    unflatten,
)


class Diverged(MindrefError):
    """The loss is no number any more; the last epoch on disk is still good."""


class Engine(Protocol):
    """Takes steps, and says where they have led."""

    backend: Any

    def step(self, batch: mind.Batch, learning_rate: float) -> float:
        """Take a step; return its loss."""

    def now(self) -> tuple[Params, optimiser.State]:
        """Return parameters and moments as arrays of NumPy, good until the next step."""


def engine_of(
    backend: Backend,
    params: Params,
    moments: optimiser.State,
    catalogue: Catalogue,
    config: Config,
) -> Engine:
    """Return who trains with a backend, from these parameters and moments on.

    Raises BackendError for one that cannot say its gradients (backend-R9), or whatever it raises.
    """
    claims = backend.capabilities()
    with answering(backend, "the start of training"):
        if "train" in claims.levels:
            return Own(backend, params, moments, catalogue, config)
    if claims.gradients != "derived" and "model" not in claims.levels:
        todo = "it can evaluate and recall; train with another --backend"
        got = f"gradients {claims.gradients!r}"
        raise BackendError(say(f"backend {backend.name}", "operators with backward", got, todo))
    return Composed(backend, params, moments, catalogue, config)


class Composed:
    """Gradients of the backend, Adam of the reference; the arrays are changed in place."""

    def __init__(
        self,
        backend: Backend,
        params: Params,
        moments: optimiser.State,
        catalogue: Catalogue,
        config: Config,
    ) -> None:
        self.backend: Any = backend
        self.params, self.moments = params, moments
        self.catalogue, self.config = catalogue, config
        self.fused = "model" in backend.capabilities().levels

    def step(self, batch: mind.Batch, learning_rate: float) -> float:
        """Take one step: loss, gradients, Adam. Raises Diverged before anything has moved."""
        config, where = self.config, f"step {self.moments.step + 1}"
        with answering(self.backend, where):
            loss, gradients = self.differentiate(batch, where)
            self.moments = optimiser.update(
                flatten(self.params),
                flatten_gradients(gradients),
                self.moments,
                learning_rate=learning_rate,
                beta1=config.beta1,
                beta2=config.beta2,
                epsilon=config.epsilon,
            )
        return loss

    def differentiate(self, batch: mind.Batch, where: str) -> tuple[float, Gradients]:
        """Return the loss of a batch and its gradients."""
        given = (self.params, batch, self.catalogue, self.config)
        if self.fused:
            found, gradients = self.backend.loss_and_gradients(*given)
            loss = check_finite(float(self.backend.to_numpy(found)), where)
            return loss, in_numpy(gradients, self.backend)
        ops = self.backend.ops  # backend-R6
        found, saved = mind.loss(*given, ops)
        loss = check_finite(float(found), where)
        return loss, mind.backward(saved, ops=ops)

    def now(self) -> tuple[Params, optimiser.State]:
        """Return the parameters and moments themselves."""
        return self.params, self.moments


class Own:
    """The training step of the backend: level 3."""

    def __init__(
        self,
        backend: Any,
        params: Params,
        moments: optimiser.State,
        catalogue: Catalogue,
        config: Config,
    ) -> None:
        self.backend, self.catalogue, self.config = backend, catalogue, config
        self.count = moments.step
        self.state = backend.init(params, config, moments)  # backend-R15

    def step(self, batch: mind.Batch, learning_rate: float) -> float:
        """Take one step. Raises Diverged after it, when the parameters are lost."""
        where = f"step {self.count + 1}"
        with answering(self.backend, where):
            self.state, loss = self.backend.step(
                self.state, batch, self.catalogue, self.config, learning_rate
            )
            found = float(self.backend.to_numpy(loss))
        self.count += 1
        return check_finite(found, where)

    def now(self) -> tuple[Params, optimiser.State]:
        """Return parameters and moments, fetched from where the backend keeps them."""
        with answering(self.backend, f"the state after step {self.count}"):
            fetch = self.backend.to_numpy
            params = flatten(self.backend.parameters(self.state))
            moments = self.backend.moments(self.state)  # backend-R15
            if int(moments.step) != self.count:
                where, got = f"backend {self.backend.name}: moments", f"step {moments.step}"
                raise BackendError(say(where, f"step {self.count}", got))
            first, second = (
                {name: fetch(x) for name, x in tables.items()}
                for tables in (moments.first, moments.second)
            )
            params = {name: fetch(x) for name, x in params.items()}
            return unflatten(params), optimiser.State(int(moments.step), first, second)


def in_numpy(gradients: Gradients, backend: Backend) -> Gradients:
    """Return gradients of level 2 as arrays of NumPy."""
    fetch = backend.to_numpy
    tables = [
        table._replace(rows=np.asarray(fetch(table.rows)), values=fetch(table.values))
        for table in (gradients.items, gradients.profile)
    ]
    layers = tuple(type(x)(fetch(x.weight), fetch(x.bias)) for x in gradients.layers)
    return Gradients(tables[0], tables[1], fetch(gradients.bilinear), layers)


def check_finite(loss: float, where: str) -> float:
    """Return the loss. Raises Diverged when it is no finite number."""
    if not np.isfinite(loss):
        todo = "train anew with a lower --learning-rate; the run keeps its best epoch"
        raise Diverged(say(where, "a finite loss", loss, todo))
    return loss
