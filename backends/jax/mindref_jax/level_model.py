"""Level 2 of the backend: arrays of mindref into the functions of the model and out of them.

Spec: specs/backend.md. Only the rows that a batch reads are handed to JAX, never a whole table.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import numpy as np

from mindref.config import Config
from mindref.models.parameters import Catalogue, Gradients, Params, flatten, unflatten
from mindref.ops.embedding import RowGradient  # the type alone
from mindref_jax import model
from mindref_jax.checks import rows_within
from mindref_jax.layout import Laid, lay_out, lay_out_histories

TABLES = ("items", "profile")


def loss_and_gradients(
    params: Params, batch: Any, catalogue: Catalogue, config: Config
) -> tuple[Any, Gradients]:
    """Return the loss of a batch and its gradient by every parameter, by rows for the tables."""
    named = flatten(params)
    laid = laid_out(named, batch, catalogue, config)
    loss, found = differentiate(read(named, laid), laid.given, batch[1:3], config)
    for name, rows in zip(TABLES, (laid.items, laid.profile), strict=True):
        values = np.asarray(found[name])[: rows.named]
        found[name] = RowGradient(rows.written[: rows.named], values)
    return loss, Gradients(*unflatten(found))  # by rows


def interests(
    params: Params, histories: Any, catalogue: Catalogue, config: Config
) -> tuple[Any, Any]:
    """Return interests (B, K, D) and which are active (B, K)."""
    named, users = flatten(params), len(histories.mask)
    model.check(named, histories, catalogue)
    laid = lay_out_histories(histories, catalogue, sizes(named), config.window)
    vectors, active = serve(read(named, laid), laid.given, config)
    return vectors[:users], active[:users]


@partial(jax.jit, static_argnames="config")
def differentiate(params: Any, batch: Any, ids: Any, config: Config) -> tuple[Any, Any]:
    """Return the loss of a batch that is laid out, and its gradients."""
    return jax.value_and_grad(model.loss_of)(params, batch, ids, config)


@partial(jax.jit, static_argnames="config")
def serve(params: Any, histories: Any, config: Config) -> tuple[Any, Any]:
    """Return interests and active of histories that are laid out."""
    return model.interests_of(params, histories, config)


def laid_out(params: model.Params, batch: Any, catalogue: Catalogue, config: Config) -> Laid:
    """Return a batch laid out for these parameters. Raises ShapeError for what does not fit."""
    model.check(params, batch.histories, catalogue)
    for ids in (batch.target, batch.negatives):
        rows_within("items", ids, len(catalogue.rows))  # model-R18
    return lay_out(batch, catalogue, sizes(params), config.window)


def read(params: model.Params, laid: Laid) -> model.Params:
    """Return the parameters with those rows of the tables that are read, in NumPy."""
    tables = {
        name: resting(params[name], rows.read)
        for name, rows in zip(TABLES, (laid.items, laid.profile), strict=True)
    }
    return params | tables


def resting(table: Any, rows: Any) -> Any:
    """Return rows of a table, zero for those outside it."""
    found = np.zeros((len(rows), table.shape[1]), table.dtype)
    inside = rows < len(table)
    found[inside] = table[rows[inside]]
    return found


def sizes(params: model.Params) -> tuple[int, int]:
    """Return the rows of the tables of items and of profiles."""
    return len(params["items"]), len(params["profile"])
