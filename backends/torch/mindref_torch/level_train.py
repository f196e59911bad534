"""Level 3 of the backend: a training step with parameters and moments as tensors.

Spec: specs/backend.md, specs/optimiser.md. torch.optim.SparseAdam adds epsilon before the bias
correction of the second moment, the specification after it. Therefore this module implements Adam.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mindref.config import Config
from mindref.models.family import family_of
from mindref.models.parameters import Catalogue, Params, unflatten
from mindref.ops.embedding import RowGradient
from mindref.training.optimiser import State as Moments
from mindref_torch import distributed
from mindref_torch.arrays import to_tensor
from mindref_torch.compiled import compile_steps
from mindref_torch.level_model import (
    AnyBatch,
    build_module,
    differentiate_loss,
    set_catalogue,
    to_batch,
)
from mindref_torch.model import MIND

ParameterMoments = tuple[Tensor, Tensor, Tensor]
"""A parameter, its first moment and its second moment."""


@dataclass
class State:
    """The state that a training step updates in place."""

    model: MIND
    first: dict[str, Tensor]
    second: dict[str, Tensor]
    step: int = 0
    catalogue: Catalogue | None = None  # catalogue of the model
    distributed_model: distributed.DistributedModel | None = None  # backend-R17


def init(
    params: Params,
    config: Config,
    moments: Moments | None = None,
    *,
    device: str = "cpu",
    compiled: bool = False,
) -> State:
    """Return the initial state, or the state that continues from `moments`; arrays are copied."""
    # the first step sets the catalogue
    empty_catalogue = Catalogue(np.empty((0, 0), np.int64), np.empty((0, 0)))
    model = build_module(params, empty_catalogue, config, device)
    if compiled:
        compile_steps(model)
    state = State(model, {}, {}, distributed_model=distributed.distribute_model(model))
    for name, x in model.named_parameters():
        if moments is None:  # optimiser-R8
            state.first[name], state.second[name] = (torch.zeros_like(x.data) for _ in range(2))
        else:
            tables = (moments.first, moments.second)
            state.first[name], state.second[name] = (to_tensor(t[name], device) for t in tables)
    state.step = 0 if moments is None else moments.step
    return state


def step(
    state: State, batch: AnyBatch, catalogue: Catalogue, config: Config, learning_rate: float
) -> tuple[State, Tensor]:
    """Take one step of lazy Adam in place; return the state and the loss before the step.

    If the loss, a gradient or its square is not finite, the state is unchanged. Then a finite loss
    is returned as NaN.
    """
    model, device = state.model, state.model.items.device
    if state.catalogue is not catalogue:
        set_catalogue(model, catalogue, device)
        state.catalogue = catalogue
    differentiate = (
        state.distributed_model.differentiate if state.distributed_model else differentiate_loss
    )
    loss, gradients = differentiate(model, to_batch(batch, device))
    if not all_squares_finite(loss, gradients):  # optimiser-R14
        return state, loss * torch.nan if loss.isfinite() else loss
    state.step += 1  # optimiser-R2
    with torch.no_grad():
        for name, x in model.named_parameters():
            parameter = x, state.first[name], state.second[name]
            update_parameter(parameter, gradients[name], state.step, config, learning_rate)
    return state, loss


def all_squares_finite(loss: Tensor, gradients: dict[str, Any]) -> bool:
    """Return whether the loss and the squares of all gradients are finite."""
    values = [g if isinstance(g, Tensor) else g[1] for g in gradients.values()]
    with torch.no_grad():
        largest = torch.stack([g.abs().amax() for g in values if g.numel()])
        finite = (largest * largest).isfinite().all() & loss.isfinite()
    return bool(finite)


def update_parameter(
    parameter: ParameterMoments,
    gradient: Tensor | RowGradient,
    step: int,
    config: Config,
    learning_rate: float,
) -> None:
    """Update a parameter and its moments: the rows of a row gradient, otherwise all rows."""
    if isinstance(gradient, Tensor):
        dense_rate = learning_rate * config.dense_rate  # optimiser-R22
        update_tensor(parameter, gradient, step, config, dense_rate)  # optimiser-R7
        return
    rows, g = gradient  # optimiser-R5, R6
    x, first, second = parameter
    slices = x.index_select(0, rows), first.index_select(0, rows), second.index_select(0, rows)
    update_tensor(slices, g, step, config, learning_rate)
    for table, updated in zip(parameter, slices, strict=True):
        table.index_copy_(0, rows, updated)


def update_tensor(
    parameter: ParameterMoments, g: Tensor, step: int, config: Config, learning_rate: float
) -> None:
    """Update a tensor and its moments in place by one step of Adam."""
    x, first, second = parameter
    root = math.sqrt(1 - config.beta2**step)
    first.mul_(config.beta1).add_(g, alpha=1 - config.beta1)  # optimiser-R1
    second.mul_(config.beta2).addcmul_(g, g, value=1 - config.beta2)  # optimiser-R1
    denominator = second.sqrt().add_(config.epsilon * root)  # optimiser-R4
    rate = learning_rate * root / (1 - config.beta1**step)  # optimiser-R3
    x.addcdiv_(first, denominator, value=-rate)


def parameters(state: State) -> Params:
    """Return the parameters of a state without a copy; the next step changes them."""
    arrays = {name: x.detach() for name, x in state.model.named_parameters()}
    return unflatten(arrays, family_of(state.model.config.model).params)


def moments(state: State) -> Moments:
    """Return the moments of a state without a copy; the next step changes them."""
    return Moments(state.step, state.first, state.second)
