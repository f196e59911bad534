"""Level 2 of the backend: loss, gradients and interests from the arrays of mindref.

Spec: specs/backend.md.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from mindref.config import Config
from mindref.models import mind, mind_plus
from mindref.models.parameters import Catalogue, Gradients, Params, unflatten
from mindref.ops.embedding import RowGradient, check_row_indices
from mindref.shapes import bind_axes, require_bool
from mindref_torch.arrays import to_tensor
from mindref_torch.embedding import sum_sparse_rows
from mindref_torch.model import MIND, Batch, Histories

AnyBatch: TypeAlias = mind.Batch | mind_plus.Batch
"""A batch of arrays of a family."""


def loss_and_gradients(
    params: Params, batch: AnyBatch, catalogue: Catalogue, config: Config, device: str = "cpu"
) -> tuple[Tensor, Gradients]:
    """Return the loss of a batch and its gradient with respect to every parameter.

    Gradients of tables are row gradients.
    """
    loss, gradients = differentiate_loss(
        build_module(params, catalogue, config, device), to_batch(batch, device)
    )
    container = mind_plus.Gradients if isinstance(params, mind_plus.Params) else Gradients
    return loss, unflatten(gradients, container)


def interests(
    params: Params,
    histories: mind.Histories,
    catalogue: Catalogue,
    config: Config,
    device: str = "cpu",
) -> tuple[Tensor, Tensor]:
    """Return interests (B, K, D) and the mask of active interests (B, K)."""
    with torch.no_grad():
        used_params, used_catalogue, renumbered = select_named_items(params, catalogue, histories)
        model = build_module(used_params, used_catalogue, config, device)
        return model.interests(to_histories(renumbered, device))


def select_named_items(
    params: Params, catalogue: Catalogue, histories: mind.Histories
) -> tuple[Params, Catalogue, mind.Histories]:
    """Return parameters and a catalogue of the items in the histories, and renumbered histories.

    The item table may have a million rows, and a block of users needs a few thousand.
    """
    items, mask = histories.items, histories.mask
    bind_axes("histories", items=(items, "BL"), mask=(mask, "BL"))
    require_bool("histories", mask=mask)
    ids = items[mask]
    check_row_indices("items", ids, len(catalogue.rows))  # model-R18
    distinct, item_index = np.unique(ids, return_inverse=True)
    rows, weights = catalogue.rows[distinct], catalogue.weights[distinct]
    check_row_indices("embedding", rows, len(params.items))  # embedding-R4
    used_rows, row_index = np.unique(rows, return_inverse=True)
    used_catalogue = Catalogue(row_index.reshape(rows.shape), weights)
    renumbered = np.zeros(items.shape, np.int64)
    renumbered[mask] = item_index
    return (
        params._replace(items=params.items[used_rows]),
        used_catalogue,
        histories._replace(items=renumbered),
    )


def differentiate_loss(model: MIND, batch: Batch) -> tuple[Tensor, dict[str, Any]]:
    """Return the loss of a batch of tensors, and parameter name -> gradient."""
    loss = model(batch)
    parameters = dict(model.named_parameters())
    slopes = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    gradients: dict[str, Any] = {
        name: torch.zeros_like(x) if gradient is None else gradient
        for (name, x), gradient in zip(parameters.items(), slopes, strict=True)
    }
    used_rows = None
    if model.has_zero_weights:  # embedding-R6
        ids = torch.cat(model.batch_item_ids(batch))
        used_rows = model.rows[ids][model.weights[ids] != 0]
    for name, table_rows in (("items", used_rows), ("profile", None)):
        gradients[name] = RowGradient(*sum_sparse_rows(gradients[name].to_sparse(1), table_rows))
    return loss.detach(), gradients


def build_module(params: Params, catalogue: Catalogue, config: Config, device: str = "cpu") -> MIND:
    """Return a module with copies of the parameters on a device."""
    with torch.device("meta"):  # no initial values: the parameters are replaced below
        model = MIND(config, torch.empty(0), torch.empty(0), sparse=True)
    set_catalogue(model, catalogue, device)
    for name, x in params._asdict().items():
        if name != "layers":
            setattr(model, name, nn.Parameter(to_tensor(x, device)))
    for arrays, target in zip(params.layers, model.layers, strict=True):
        target.weight, target.bias = (nn.Parameter(to_tensor(x, device)) for x in arrays)
    return model


def set_catalogue(model: MIND, catalogue: Catalogue, device: str | torch.device) -> None:
    """Replace the catalogue of a model by a copy on a device."""
    model.rows, model.weights = (to_tensor(x, device) for x in catalogue)
    model.has_zero_weights = bool((model.weights == 0).any())


def to_batch(batch: AnyBatch, device: str | torch.device = "cpu") -> Batch:
    """Return a batch of MIND or mind_plus as tensors on a device."""
    shared, keep = batch if isinstance(batch, mind_plus.Batch) else (batch, None)
    histories, *arrays = shared
    factors = None if keep is None else to_tensor(keep, device)
    tensors = (to_tensor(x, device) for x in arrays)
    return Batch(to_histories(histories, device), *tensors)._replace(keep=factors)


def to_histories(histories: mind.Histories, device: str | torch.device = "cpu") -> Histories:
    """Return histories as tensors on a device."""
    return Histories(*(to_tensor(x, device) for x in histories))
