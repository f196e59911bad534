"""Level 3 of the backend: a training step that keeps parameters and moments as tensors.

Spec: specs/backend.md, specs/optimiser.md. torch.optim.SparseAdam puts epsilon before the bias
correction of the second moment, the page puts it after; so Adam stands here once more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mindref.config import Config
from mindref.models.parameters import Catalogue, Params, unflatten
from mindref.training.optimiser import State as Moments
from mindref_torch import distributed
from mindref_torch.arrays import tensor
from mindref_torch.compiled import compile_steps
from mindref_torch.level_model import differentiate, module, tensors
from mindref_torch.model import MIND

Moved = tuple[Tensor, Tensor, Tensor]
"""A parameter, its first and its second moments."""


@dataclass
class State:
    """What a training step moves, in place."""

    model: MIND
    first: dict[str, Tensor]
    second: dict[str, Tensor]
    step: int = 0
    catalogue: Any = None  # that of the model
    shared: Any = None  # the model as several processes share it, backend-R17


def init(
    params: Params,
    config: Config,
    moments: Moments | None = None,
    device: str = "cpu",
    compiled: bool = False,
) -> State:
    """Return the state before the first step, or after those of `moments`, with own tensors."""
    none = Catalogue(np.empty((0, 0), np.int64), np.empty((0, 0)))  # the first step brings it
    model = module(params, none, config, device)
    if compiled:
        compile_steps(model)
    named = dict(model.named_parameters())
    if moments is None:
        first, second = (
            {name: torch.zeros_like(x.data) for name, x in named.items()} for _ in range(2)
        )
        return State(model, first, second, shared=distributed.shared(model))  # optimiser-R8
    first, second = (
        {name: tensor(table[name], device) for name in named}
        for table in (moments.first, moments.second)
    )
    return State(model, first, second, moments.step, shared=distributed.shared(model))


def step(
    state: State, batch: Any, catalogue: Catalogue, config: Config, learning_rate: float
) -> tuple[State, Tensor]:
    """Take one step of lazy Adam in place; return the state and the loss before it.

    Nothing moves if the loss, a gradient or its square is not finite; the loss is then NaN if it
    was finite.
    """
    model, device = state.model, state.model.items.device
    if state.catalogue is not catalogue:
        model.rows, model.weights = (tensor(x, device) for x in catalogue)
        state.catalogue = catalogue
    differentiated = state.shared.differentiate if state.shared else differentiate
    loss, gradients = differentiated(model, tensors(batch, device))
    if not bounded(loss, gradients):  # optimiser-R14
        return state, loss * torch.nan if loss.isfinite() else loss
    state.step += 1  # optimiser-R2
    with torch.no_grad():
        for name, x in model.named_parameters():
            moved = x, state.first[name], state.second[name]
            move(moved, gradients[name], state.step, config, learning_rate)
    return state, loss


def bounded(loss: Tensor, gradients: dict[str, Any]) -> bool:
    """Return whether the loss, all gradients and their squares are finite."""
    values = [g if isinstance(g, Tensor) else g[1] for g in gradients.values()]
    with torch.no_grad():
        largest = torch.stack([g.abs().amax() for g in values if g.numel()])
        sound = (largest * largest).isfinite().all() & loss.isfinite()
    return bool(sound)


def move(moved: Moved, gradient: Any, step: int, config: Config, rate: float) -> None:
    """Move a parameter and its moments: the rows that its gradient names, or all of it."""
    if isinstance(gradient, Tensor):
        adam(moved, gradient, step, config, rate)  # optimiser-R7
        return
    rows, g = gradient  # optimiser-R5, R6
    x, first, second = moved
    parts = x.index_select(0, rows), first.index_select(0, rows), second.index_select(0, rows)
    adam(parts, g, step, config, rate)
    for whole, part in zip(moved, parts, strict=True):
        whole.index_copy_(0, rows, part)


def adam(moved: Moved, g: Tensor, step: int, config: Config, rate: float) -> None:
    """Move a tensor and its moments in place."""
    x, first, second = moved
    root = math.sqrt(1 - config.beta2**step)
    first.mul_(config.beta1).add_(g, alpha=1 - config.beta1)  # optimiser-R1
    second.mul_(config.beta2).addcmul_(g, g, value=1 - config.beta2)  # optimiser-R1
    below = second.sqrt().add_(config.epsilon * root)  # optimiser-R4
    x.addcdiv_(first, below, value=-rate * root / (1 - config.beta1**step))  # optimiser-R3


def parameters(state: State) -> Params:
    """Return the parameters of a state: its own, good until the next step."""
    return unflatten({name: x.detach() for name, x in state.model.named_parameters()})


def moments(state: State) -> Moments:
    """Return the moments of a state: its own, good until the next step."""
    return Moments(state.step, state.first, state.second)
