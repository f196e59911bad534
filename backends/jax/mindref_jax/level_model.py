"""Level 2 of the backend: loss, gradients and interests from the arrays of mindref.

Spec: specs/backend.md. JAX gets only the rows that a batch reads, never a whole table.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial

import jax
import numpy as np
from jax import Array

from mindref.config import Config
from mindref.models import mind_plus
from mindref.models.parameters import Catalogue, Gradients, Params, flatten, unflatten
from mindref.ops.embedding import RowGradient
from mindref.shapes import Ints
from mindref_jax import model
from mindref_jax.layout import PreparedBatch, prepare_batch, prepare_histories
from mindref_jax.model import AnyBatch, Batch, Histories

TABLES = ("items", "profile")


def loss_and_gradients(
    params: Params, batch: AnyBatch, catalogue: Catalogue, config: Config
) -> tuple[Array, Gradients]:
    """Return the loss of a batch and its gradient with respect to every parameter.

    Gradients of tables are row gradients.
    """
    flat_params = flatten(params)
    prepared = check_and_prepare(flat_params, batch, catalogue, config)
    tables = read_tables(flat_params, prepared)
    static = settings_of_loss(config)
    loss, gradients = differentiate_loss(tables, prepared.arrays, prepared.ids, static)
    for name, rows in zip(TABLES, (prepared.items, prepared.profile), strict=True):
        values = np.asarray(gradients[name])[: rows.num_written]
        gradients[name] = RowGradient(rows.written[: rows.num_written], values)
    container = mind_plus.Gradients if isinstance(params, mind_plus.Params) else Gradients
    return loss, unflatten(gradients, container)


def interests(
    params: Params, histories: Histories, catalogue: Catalogue, config: Config
) -> tuple[Array, Array]:
    """Return interests (B, K, D) and the mask of active interests (B, K)."""
    flat_params, num_users = flatten(params), len(histories.mask)
    model.check_model_inputs(flat_params, histories, catalogue, config)
    prepared = prepare_histories(histories, catalogue, table_sizes(flat_params), config.window)
    vectors, active = infer_interests(read_tables(flat_params, prepared), prepared.arrays, config)
    return vectors[:num_users], active[:num_users]


@partial(jax.jit, static_argnames="config")
def differentiate_loss(
    params: model.Params, batch: Batch, ids: tuple[Array, Array], config: Config
) -> tuple[Array, model.Params]:
    """Return the loss of a prepared batch, and its gradients."""
    return jax.value_and_grad(model.loss_from_rows)(params, batch, ids, config)


@partial(jax.jit, static_argnames="config")
def infer_interests(
    params: model.Params, histories: Histories, config: Config
) -> tuple[Array, Array]:
    """Return interests and active interests of prepared histories."""
    return model.interests_from_rows(params, histories, config)


def check_and_prepare(
    params: model.Params, batch: AnyBatch, catalogue: Catalogue, config: Config
) -> PreparedBatch:
    """Check a batch and prepare it for the parameters. Raises ShapeError if it is invalid."""
    checked = model.check_batch(params, batch, catalogue, config)
    return prepare_batch(checked, catalogue, table_sizes(params), config.window)


@lru_cache(maxsize=100)
def settings_of_loss(config: Config) -> Config:
    """Return settings with the same loss; those that differ only in an unused power are equal."""
    return config if config.attention == "label" else replace(config, power=0.0)  # model-R14


def read_tables(params: model.Params, prepared: PreparedBatch) -> model.Params:
    """Return the parameters with only the rows of the tables that are read, as NumPy arrays."""
    tables = {
        name: read_rows(params[name], rows.read)
        for name, rows in zip(TABLES, (prepared.items, prepared.profile), strict=True)
    }
    return params | tables


def read_rows(table: Array, rows: Ints) -> Array:
    """Return rows of a table; zero for a row outside the table."""
    values = np.zeros((len(rows), table.shape[1]), table.dtype)
    inside = rows < len(table)
    values[inside] = table[rows[inside]]
    return values


def table_sizes(params: model.Params) -> tuple[int, int]:
    """Return the numbers of rows of the item table and the profile table."""
    return len(params["items"]), len(params["profile"])
