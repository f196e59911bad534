"""The local activation unit: a user's vector for each candidate, by attention over behaviours.

Spec: specs/item_attention.md. Source: Zhou et al., KDD 2018 (DIN), eq. 3 and Fig. 2.
Differs: rectified layers for PReLU and Dice, and the product e * c for the outer product; with
`normalise` the weights are a softmax, which the paper leaves out on purpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mindref.errors import ShapeError, say
from mindref.ops import relu_layer, softmax
from mindref.shapes import Array, Bools, bind, boolean, same_float

Affine = tuple[Array, Array]
"""Weight (I, O) and bias (O,) of one layer."""

PARTS = 4
"""Of what the first layer sees: e, e - c, e * c, c, each of width D."""


class Saved(NamedTuple):
    """Inputs, weights, and what the layers need; the products e * c are made again."""

    history: Array  # (B, L, D) zero where padded
    candidates: Array  # (B, M, D)
    mask: Bools  # (B, L)
    first: Array  # (4 D, O) weight of the first layer
    passed: Bools | None  # (B M L, O) where its rectifier let through; None for the only layer
    layers: tuple[relu_layer.Saved, ...]  # the others
    weights: Array  # (B, M, L)
    softmax: softmax.Saved | None  # with `normalise`


def forward(
    history: Array,
    candidates: Array,
    mask: Bools,
    layers: Sequence[Affine],
    *,
    normalise: bool = False,
) -> tuple[Array, Saved]:
    """Map behaviours and candidates to a vector of the user for each candidate (B, M, D).

    history (B, L, D) and candidates (B, M, D) of one floating type; mask (B, L) true for a
    behaviour; layers from 4 D to 1, at least one. A padded place may hold anything.
    Raises ShapeError for shapes and types that disagree.
    """
    check(history, candidates, mask, layers)
    e, c = np.where(mask[..., None], history, 0), candidates  # 1, item_attention-R5 (B, L, D)
    (users, length, width), count = e.shape, c.shape[1]
    first, bias = layers[0]
    of_behaviour, of_candidate, of_product = folded(first)  # 2 (D, O) each
    rows = (users * count * length, width)  # no -1: there may be no users
    x = products(e, c).reshape(rows) @ of_product  # 3 (B M L, O)
    x = x.reshape(users, count, length, x.shape[1])
    x += (e @ of_behaviour)[:, None]  # 3
    x += (c @ of_candidate + bias)[:, :, None]  # 3, item_attention-R1
    x = x.reshape(rows[0], x.shape[3])
    passed = None
    if len(layers) > 1:
        passed = ~(x <= 0)  # 4: the slope at zero is zero, and a NaN passes, as in relu_layer
        x = np.maximum(x, 0)  # 4, item_attention-R2
    others = []
    for i, (weight, bias) in enumerate(layers[1:], start=2):  # 5
        x, saved = relu_layer.forward(x, weight, bias, relu=i < len(layers))  # item_attention-R2
        others.append(saved)
    scores, real = x.reshape(users, count, length), mask[:, None]
    kept = None
    if normalise:
        weights, kept = softmax.forward(scores, real, axis=2)  # 6, item_attention-R4
    else:
        weights = np.where(real, scores, 0)  # 6, item_attention-R4, R5
    # a sum over the user's own places: no order in it, and zero without any
    out = weights @ e  # 7, item_attention-R3, R6, R7, R8 (B, M, D)
    return out, Saved(e, c, mask, first, passed, tuple(others), weights, kept)


def backward(d_out: Array, saved: Saved) -> tuple[Array, Array, tuple[Affine, ...]]:
    """Return d_history (B, L, D), d_candidates (B, M, D) and the gradients of the layers."""
    e, c, mask, first, passed, others, weights, kept = saved
    d_weights = d_out @ e.swapaxes(1, 2)  # 7 (B, M, L)
    d_e = weights.swapaxes(1, 2) @ d_out  # 7, item_attention-R9: as the value (B, L, D)
    if kept is not None:
        d_scores = softmax.backward(d_weights, kept)  # 6
    else:
        d_scores = np.where(mask[:, None], d_weights, 0)  # 6
    d_x = d_scores.reshape(d_scores.size, 1)
    d_layers: list[Affine] = []
    for layer in reversed(others):  # 5
        d_x, d_weight, d_bias = relu_layer.backward(d_x, layer)
        d_layers.insert(0, (d_weight, d_bias))
    if passed is not None:
        d_x = np.where(passed, d_x, 0)  # 4
    of_behaviour, of_candidate, of_product = folded(first)
    rows, (users, count, length) = len(d_x), weights.shape
    x = products(e, c).reshape(rows, e.shape[2])
    d_product = x.T @ d_x  # 3 (D, O)
    d_products = (d_x @ of_product.T).reshape(users, count, length, e.shape[2])  # 3
    by_place = d_x.reshape(users, count, length, d_x.shape[1])
    of_e, of_c = by_place.sum(axis=1), by_place.sum(axis=2)  # 3 (B, L, O), (B, M, O)
    # item_attention-R9: as the key, too, in the products and by itself
    d_e += np.einsum("bmld,bmd->bld", d_products, c) + of_e @ of_behaviour.T  # 3
    d_c = np.einsum("bmld,bld->bmd", d_products, e) + of_c @ of_candidate.T  # 3
    of_e_alone, of_c_alone = flat(e).T @ flat(of_e), flat(c).T @ flat(of_c)  # 3 (D, O)
    d_parts = [of_e_alone, of_e_alone - of_c_alone, d_product, of_c_alone]  # 2
    d_first = np.concatenate(d_parts), d_x.sum(axis=0)
    d_history = np.where(mask[..., None], d_e, 0)  # 1, item_attention-R5
    return d_history, d_c, (d_first, *d_layers)


def products(e: Array, c: Array) -> Array:
    """Return the products of every behaviour with every candidate (B, M, L, D)."""
    return e[:, None] * c[:, :, None]


def folded(first: Array) -> tuple[Array, Array, Array]:
    """Return the first layer's weights (D, O) of e, of c and of e * c.

    e stands in e and in e - c, c in c and, with a minus, in e - c: by linearity each is projected
    once and not for every pair.
    """
    behaviour, difference, product, candidate = np.split(first, PARTS)
    return behaviour + difference, candidate - difference, product


def flat(x: Array) -> Array:
    """Return all vectors as rows."""
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2])


def check(history: Array, candidates: Array, mask: Bools, layers: Sequence[Affine]) -> None:
    """Raise ShapeError for anything that `forward` cannot take."""
    where = "item_attention"
    sizes = bind(where, history=(history, "BLD"), candidates=(candidates, "BMD"), mask=(mask, "BL"))
    boolean(where, mask=mask)
    named = {f"layers.{i}.{name}": x for i, layer in enumerate(layers)
             for name, x in zip(("weight", "bias"), layer, strict=True)}  # fmt: skip
    same_float(where, history=history, candidates=candidates, **named)  # item_attention-R10
    inputs = PARTS * sizes["D"]
    for i, (weight, bias) in enumerate(layers):
        bind(where, **{f"layers.{i}.weight": (weight, "IO"), f"layers.{i}.bias": (bias, "O")})
        if len(weight) != inputs:  # item_attention-R10
            got = len(weight)
            raise ShapeError(say(f"{where}: layers.{i}.weight", f"{inputs} inputs", got))
        inputs = len(bias)
    if not layers or inputs != 1:  # item_attention-R10
        last = inputs if layers else "no layer"
        raise ShapeError(say(f"{where}: layers", "a last one with 1 output", last))
