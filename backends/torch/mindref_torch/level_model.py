"""Level 2 of the backend: arrays of mindref into the module and its gradients out of it.

Spec: specs/backend.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mindref.config import Config
from mindref.models.parameters import Catalogue, Gradients, Params, unflatten
from mindref.ops.embedding import RowGradient, check_rows
from mindref.shapes import bind, boolean
from mindref_torch.arrays import tensor
from mindref_torch.embedding import by_rows
from mindref_torch.model import MIND


def loss_and_gradients(
    params: Params, batch: Any, catalogue: Catalogue, config: Config, device: str = "cpu"
) -> tuple[Tensor, Gradients]:
    """Return the loss of a batch and its gradient by every parameter, by rows for the tables."""
    loss, gradients = differentiate(
        module(params, catalogue, config, device), tensors(batch, device)
    )
    return loss, Gradients(*unflatten(gradients))  # by rows


def interests(
    params: Params, histories: Any, catalogue: Catalogue, config: Config, device: str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Return interests (B, K, D) and which are active (B, K)."""
    with torch.no_grad():
        few, own, asked = named(params, catalogue, histories)
        model = module(few, own, config, device)
        found: tuple[Tensor, Tensor] = model.interests(tensors(asked, device))
    return found


def named(params: Params, catalogue: Catalogue, histories: Any) -> tuple[Params, Catalogue, Any]:
    """Return the items that histories name, the rows that make them up, and their new ids.

    The table may have a million rows, of which a block of users needs a few thousand.
    """
    items, mask = histories.items, histories.mask
    bind("histories", items=(items, "BL"), mask=(mask, "BL"))
    boolean("histories", mask=mask)
    ids = items[mask]
    check_rows("items", ids, len(catalogue.rows))  # model-R18
    distinct, places = np.unique(ids, return_inverse=True)
    rows, weights = catalogue.rows[distinct], catalogue.weights[distinct]
    check_rows("embedding", rows, len(params.items))  # embedding-R4
    used, numbers = np.unique(rows, return_inverse=True)
    own = Catalogue(numbers.reshape(rows.shape), weights)
    renamed = np.zeros(items.shape, np.int64)
    renamed[mask] = places
    return params._replace(items=params.items[used]), own, histories._replace(items=renamed)


def differentiate(model: MIND, batch: Any) -> tuple[Tensor, dict[str, Any]]:
    """Return the loss of a batch of tensors, and the gradient of each parameter by its name."""
    loss = model(batch)
    named = dict(model.named_parameters())
    found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    gradients: dict[str, Any] = {
        name: torch.zeros_like(x) if gradient is None else gradient
        for (name, x), gradient in zip(named.items(), found, strict=True)
    }
    ids = torch.cat(model.looked_up(batch))
    used = model.weights[ids] != 0
    counting = None if used.all() else model.rows[ids][used]  # embedding-R6
    for name, some in (("items", counting), ("profile", None)):
        gradients[name] = RowGradient(*by_rows(gradients[name].to_sparse(1), some))
    return loss.detach(), gradients


def module(params: Params, catalogue: Catalogue, config: Config, device: Any = "cpu") -> MIND:
    """Return the module that has copies of these parameters, on a device."""
    with torch.device("meta"):  # nothing is drawn, as nothing of it is kept
        made = MIND(config, torch.empty(0), torch.empty(0), sparse=True)
    made.rows, made.weights = (tensor(x, device) for x in catalogue)
    made.items, made.profile, made.bilinear = (nn.Parameter(tensor(x, device)) for x in params[:3])
    for layer, own in zip(params.layers, made.layers, strict=True):
        own.weight, own.bias = (nn.Parameter(tensor(x, device)) for x in layer)
    return made


def tensors(x: Any, device: Any = "cpu") -> Any:
    """Return arrays in named tuples as tensors in the same ones, on a device."""
    if isinstance(x, tuple):
        return type(x)(*(tensors(part, device) for part in x))
    return tensor(x, device)
