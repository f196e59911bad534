"""Who takes the steps of a training: the backend itself, or the reference by way of it.

Spec: specs/backend.md, the three levels. A backend that claims `train` keeps the parameters where
it likes; of one that claims less, loss and gradients are taken (level 2), or composed of its
operators (level 1), and the optimiser is the reference's.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

import numpy as np

from mindref.backend import Backend, answering
from mindref.config import Config
from mindref.errors import BackendError, say
from mindref.models import families, mind
from mindref.models.parameters import (
    Catalogue,
    Gradients,
    Params,
    Tables,
    flatten,
    flatten_gradients,
    unflatten,
)
from mindref.training import divergence, optimiser
from mindref.training.divergence import Diverged, Found

__all__ = ["Composed", "Diverged", "Engine", "Own", "check_finite", "engine_of"]


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
    if config.model != "mind":
        return Composed(backend, params, moments, catalogue, config)
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
        self.family = families.family(config.model)
        self.project = getattr(self.family, "project", None)  # after a step: maxmf-R17
        self.ops = partial(families.operators, backend, config)
        self.fused = config.model == "mind" and "model" in backend.capabilities().levels

    def step(self, batch: mind.Batch, learning_rate: float) -> float:
        """Take one step: loss, gradients, Adam. Raises Diverged before anything has moved."""
        config, step = self.config, self.moments.step + 1
        with answering(self.backend, f"step {step}"):
            loss, gradients = self.differentiate(batch)
            named = {} if gradients is None else flatten_gradients(gradients)
            bad = [name for name, x in named.items() if not divergence.bounded(x)]
            if gradients is None or bad:  # optimiser-R14
                got = f"a gradient of {', '.join(bad)} beyond all bounds" if bad else f"{loss}"
                raise Diverged(step, got, found(self, batch))
            self.moments = optimiser.update(
                flatten(self.params),
                named,
                self.moments,
                learning_rate=learning_rate,
                beta1=config.beta1,
                beta2=config.beta2,
                epsilon=config.epsilon,
            )
            if self.project is not None:
                self.project(self.params, gradients)
        return loss

    def differentiate(self, batch: mind.Batch) -> tuple[float, Tables | None]:
        """Return the loss of a batch and its gradients; none of a loss that is not finite."""
        given = (self.params, batch, self.catalogue, self.config)
        if self.fused:
            found, gradients = self.backend.loss_and_gradients(*given)
            loss = float(self.backend.to_numpy(found))
            return loss, in_numpy(gradients, self.backend) if np.isfinite(loss) else None
        ops = self.ops()  # backend-R6
        found, saved = self.family.loss(*given, ops)
        loss = float(found)
        return loss, self.family.backward(saved, ops=ops) if np.isfinite(loss) else None

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
        """Take one step. Raises Diverged after it, when the parameters may be lost."""
        step = self.count + 1
        with answering(self.backend, f"step {step}"):
            self.state, loss = self.backend.step(
                self.state, batch, self.catalogue, self.config, learning_rate
            )
            lost = float(self.backend.to_numpy(loss))
        if not np.isfinite(lost):  # optimiser-R14
            raise Diverged(step, str(lost), found(self, batch))
        self.count = step
        return lost

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


def found(engine: Any, batch: Any) -> Found:
    """Return what went wrong in a step; nothing where that cannot be said, which is no error."""
    try:
        if isinstance(engine, Own):  # the step may have been taken or not
            engine.count = int(engine.backend.moments(engine.state).step)
        params, moments = engine.now()
        tables = divergence.by_name(flatten(params), moments)
        family = families.family(engine.config.model)
        return divergence.look(family, params, batch, engine.catalogue, engine.config, tables)
    except Exception:  # the loss is what has to be heard of, not what became of the parameters
        return Found()


def check_finite(loss: float, step: int) -> float:
    """Return the loss. Raises Diverged when it is no finite number."""
    if not np.isfinite(loss):
        raise Diverged(step, str(loss), Found())
    return loss
