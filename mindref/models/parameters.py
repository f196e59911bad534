"""What is learned: the arrays, their names, shapes and initial values.

Spec: specs/model.md. Gradients have the same names; those of tables are row-sparse.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from mindref.config import Config
from mindref.ops.embedding import RowGradient
from mindref.shapes import Array, Ints


class Layer(NamedTuple):
    """One affine map of the layers after the capsules."""

    weight: Array  # (I, O)
    bias: Array  # (O,)


class Params(NamedTuple):
    """The parameters of MIND."""

    items: Array  # (V, D) item ids first, then values of item features
    profile: Array  # (W, Q) values of user features; (0, Q) without any
    bilinear: Array  # (D, D) S
    layers: tuple[Layer, ...]  # the last one maps to D


class Gradients(NamedTuple):
    """The gradient of each parameter, under the same names."""

    items: RowGradient
    profile: RowGradient
    bilinear: Array
    layers: tuple[Layer, ...]


class Sizes(NamedTuple):
    """What the data decides about the shapes."""

    items: int  # N
    item_rows: int  # V = N + values of item features
    profile_rows: int  # W
    profile_features: int  # G


class Catalogue(NamedTuple):
    """Which rows of the table make up each item, and how much each counts (embedding-R1)."""

    rows: Ints  # (N, F) first column the item itself
    weights: Array  # (N, F) rows sum to one


def init(rng: np.random.Generator, config: Config, sizes: Sizes) -> Params:
    """Draw initial parameters: tables and S with variance 1 / D, layers He with zero biases.

    Drawn in the order of `Params` from rng alone, in float64, then rounded to the type.
    """
    width = config.width
    profile_width = sizes.profile_features * config.profile_width
    widths = (width + profile_width, *config.hidden, width)  # model-R21

    def normal(shape: tuple[int, int], variance: float) -> Array:
        return (np.sqrt(variance) * rng.standard_normal(shape)).astype(config.dtype)

    items = normal((sizes.item_rows, width), 1 / width)  # model-R20
    profile = normal((sizes.profile_rows, config.profile_width), 1 / width)
    bilinear = normal((width, width), 1 / width)
    layers = tuple(
        Layer(normal((i, o), 2 / i), np.zeros(o, config.dtype))  # model-R20: He et al. 2015
        for i, o in pairwise(widths)
    )
    return Params(items, profile, bilinear, layers)


def flatten(params: Params) -> dict[str, Array]:
    """Return name -> array: items, profile, bilinear, layers.0.weight, layers.0.bias, ..."""
    named = {"items": params.items, "profile": params.profile, "bilinear": params.bilinear}
    for i, layer in enumerate(params.layers):  # model-R22
        named |= {f"layers.{i}.weight": layer.weight, f"layers.{i}.bias": layer.bias}
    return named


def unflatten(named: dict[str, Array]) -> Params:
    """Return the parameters that `flatten` took apart."""
    count = sum(name.endswith(".weight") for name in named)
    layers = tuple(
        Layer(named[f"layers.{i}.weight"], named[f"layers.{i}.bias"]) for i in range(count)
    )
    return Params(named["items"], named["profile"], named["bilinear"], layers)


def copies(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return copies of arrays under their names."""
    return {name: x.copy() for name, x in arrays.items()}


def copied(params: Params) -> Params:
    """Return the same parameters in arrays of their own, which later steps do not change."""
    return unflatten(copies(flatten(params)))


def flatten_gradients(gradients: Gradients) -> dict[str, Array | RowGradient]:
    """Return the gradients under the names of `flatten`."""
    named: dict[str, Array | RowGradient] = {
        "items": gradients.items,
        "profile": gradients.profile,
        "bilinear": gradients.bilinear,
    }
    for i, layer in enumerate(gradients.layers):
        named |= {f"layers.{i}.weight": layer.weight, f"layers.{i}.bias": layer.bias}
    return named


def catalogue_of_ids(items: int, dtype: str) -> Catalogue:
    """Return the catalogue of items that have nothing but their id."""
    return Catalogue(np.arange(items, dtype=np.int64)[:, None], np.ones((items, 1), dtype))
