"""Compute a user vector for each candidate item, by attention over the user's behaviours.

Spec: specs/item_attention.md. Source: Zhou et al., KDD 2018 (DIN), eq. 3 and Fig. 2. Differences:
ReLU replaces PReLU and Dice. The elementwise product e * c of behaviour e and candidate c replaces
the outer product. With `normalise`, a softmax computes the weights; the paper has no softmax.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mindref.errors import ShapeError, say
from mindref.ops import relu_layer, softmax
from mindref.shapes import Array, Bools, bind_axes, common_float_dtype, require_bool

Affine = tuple[Array, Array]
"""The weight (I, O) and the bias (O,) of one layer with I inputs and O outputs."""

PARTS = 4
"""The first layer's input for behaviour e and candidate c has 4 parts: e, e - c, e * c and c."""


class Saved(NamedTuple):
    """The values that `backward` reads; products of behaviours and candidates are recomputed."""

    history: Array  # (B, L, D) zero at padding
    candidates: Array  # (B, M, D)
    mask: Bools  # (B, L)
    first: Array  # (4 D, O) weight of the first layer
    passed: Bools | None  # (B M L, O) where the first ReLU is not zero; None if no ReLU
    layers: tuple[relu_layer.Saved, ...]  # of the second and later layers
    weights: Array  # (B, M, L) of the behaviours
    softmax: softmax.Saved | None  # None without `normalise`


def forward(
    history: Array,
    candidates: Array,
    mask: Bools,
    layers: Sequence[Affine],
    *,
    normalise: bool = False,
) -> tuple[Array, Saved]:
    """Return one user vector for each candidate (B, M, D): a weighted sum of the behaviours.

    history (B, L, D): behaviours; padding may have any value. candidates (B, M, D): in the dtype of
    history. mask (B, L): true for a behaviour. layers: at least one, the first with 4 D inputs, the
    last with one output. Raises ShapeError if shapes or dtypes disagree.
    """
    check_inputs(history, candidates, mask, layers)
    e, c = np.where(mask[..., None], history, 0), candidates  # 1, item_attention-R5 (B, L, D)
    (users, length, width), count = e.shape, c.shape[1]
    first, bias = layers[0]
    of_behaviour, of_candidate, of_product = split_first_layer(first)  # 2 (D, O) each
    # sizes are explicit, because reshape cannot infer -1 if another axis has size 0
    rows = (users * count * length, width)
    x = pair_products(e, c).reshape(rows) @ of_product  # 3 (B M L, O)
    x = x.reshape(users, count, length, x.shape[1])
    x += (e @ of_behaviour)[:, None]  # 3
    x += (c @ of_candidate + bias)[:, :, None]  # 3, item_attention-R1
    x = x.reshape(rows[0], x.shape[3])
    passed = None
    if len(layers) > 1:
        passed = ~(x <= 0)  # 4: ReLU has slope 0 at 0; a NaN passes, as in relu_layer
        x = np.maximum(x, 0)  # 4, item_attention-R2
    saved_layers = []
    for i, (weight, bias) in enumerate(layers[1:], start=2):  # 5
        x, saved = relu_layer.forward(x, weight, bias, relu=i < len(layers))  # item_attention-R2
        saved_layers.append(saved)
    scores, mask_rows = x.reshape(users, count, length), mask[:, None]
    softmax_saved = None
    if normalise:
        weights, softmax_saved = softmax.forward(scores, mask_rows, axis=2)  # 6, item_attention-R4
    else:
        weights = np.where(mask_rows, scores, 0)  # 6, item_attention-R4, R5
    # the order of the behaviours does not matter, and the sum over an empty history is zero
    out = weights @ e  # 7, item_attention-R3, R6, R7, R8 (B, M, D)
    return out, Saved(e, c, mask, first, passed, tuple(saved_layers), weights, softmax_saved)


def backward(d_out: Array, saved: Saved) -> tuple[Array, Array, tuple[Affine, ...]]:
    """Return d_history (B, L, D), d_candidates (B, M, D), and the gradient of each layer."""
    e, c, mask, first, passed, saved_layers, weights, softmax_saved = saved
    d_weights = d_out @ e.swapaxes(1, 2)  # 7 (B, M, L)
    d_e = weights.swapaxes(1, 2) @ d_out  # 7, item_attention-R9: gradient through the sum (B, L, D)
    if softmax_saved is not None:
        d_scores = softmax.backward(d_weights, softmax_saved)  # 6
    else:
        d_scores = np.where(mask[:, None], d_weights, 0)  # 6
    d_x = d_scores.reshape(d_scores.size, 1)
    d_layers: list[Affine] = []
    for layer in reversed(saved_layers):  # 5
        d_x, d_weight, d_bias = relu_layer.backward(d_x, layer)
        d_layers.insert(0, (d_weight, d_bias))
    if passed is not None:
        d_x = np.where(passed, d_x, 0)  # 4
    of_behaviour, of_candidate, of_product = split_first_layer(first)
    rows, (users, count, length) = len(d_x), weights.shape
    x = pair_products(e, c).reshape(rows, e.shape[2])
    d_product = x.T @ d_x  # 3 (D, O)
    d_products = (d_x @ of_product.T).reshape(users, count, length, e.shape[2])  # 3
    d_sums = d_x.reshape(users, count, length, d_x.shape[1])
    d_sum_e, d_sum_c = d_sums.sum(axis=1), d_sums.sum(axis=2)  # 3 (B, L, O), (B, M, O)
    # item_attention-R9: add the gradient of e through e * c and through the linear terms
    d_e += np.einsum("bmld,bmd->bld", d_products, c) + d_sum_e @ of_behaviour.T  # 3
    d_c = np.einsum("bmld,bld->bmd", d_products, e) + d_sum_c @ of_candidate.T  # 3
    d_weight_e, d_weight_c = (
        flatten_rows(e).T @ flatten_rows(d_sum_e),
        flatten_rows(c).T @ flatten_rows(d_sum_c),
    )  # 3 (D, O)
    d_parts = [d_weight_e, d_weight_e - d_weight_c, d_product, d_weight_c]  # 2
    d_first = np.concatenate(d_parts), d_x.sum(axis=0)
    d_history = np.where(mask[..., None], d_e, 0)  # 1, item_attention-R5
    return d_history, d_c, (d_first, *d_layers)


def pair_products(e: Array, c: Array) -> Array:
    """Return the elementwise products of each behaviour e and each candidate c (B, M, L, D)."""
    return e[:, None] * c[:, :, None]


def split_first_layer(first: Array) -> tuple[Array, Array, Array]:
    """Return the three matrices (D, O) by which the first layer multiplies e, c and e * c.

    The input [e, e - c, e * c, c] contains behaviour e and candidate c twice. The two matrices of e
    become one, and so do those of c. Each e or c is then multiplied once, not for each pair (e, c).
    """
    behaviour, difference, product, candidate = np.split(first, PARTS)
    return behaviour + difference, candidate - difference, product


def flatten_rows(x: Array) -> Array:
    """Return x (B, M, D) as a matrix of B M rows."""
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2])


def check_inputs(history: Array, candidates: Array, mask: Bools, layers: Sequence[Affine]) -> None:
    """Raise ShapeError if the arguments of `forward` are invalid."""
    operator = "item_attention"
    sizes = bind_axes(
        operator, history=(history, "BLD"), candidates=(candidates, "BMD"), mask=(mask, "BL")
    )
    require_bool(operator, mask=mask)
    layer_arrays = {f"layers.{i}.{name}": x for i, layer in enumerate(layers)
             for name, x in zip(("weight", "bias"), layer, strict=True)}  # fmt: skip
    # item_attention-R10
    common_float_dtype(operator, history=history, candidates=candidates, **layer_arrays)
    inputs = PARTS * sizes["D"]
    for i, (weight, bias) in enumerate(layers):
        bind_axes(
            operator, **{f"layers.{i}.weight": (weight, "IO"), f"layers.{i}.bias": (bias, "O")}
        )
        if len(weight) != inputs:  # item_attention-R10
            got = len(weight)
            raise ShapeError(say(f"{operator}: layers.{i}.weight", f"{inputs} inputs", got))
        inputs = len(bias)
    if not layers or inputs != 1:  # item_attention-R10
        last = inputs if layers else "no layer"
        raise ShapeError(say(f"{operator}: layers", "a last one with 1 output", last))
