"""Spec: specs/pooled_softmax.md. Items compete as in sampled_softmax, relative to the target."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.ops import pooled_softmax as reference
from mindref.shapes import Array, Bools, Ints
from tests.conformance.correct import squash
from tests.conformance.correct.sampled_softmax import compete
from tests.conformance.correct.sums import contract, total


def check_inputs(
    *arrays: Any, sharpness: float, temperature: float = 1.0, normalise: bool = False
) -> None:
    reference.check_loss_arrays(*arrays)
    reference.check_loss_numbers(sharpness, temperature)


def forward(
    interests: Array,
    active: Bools,
    target: Array,
    negatives: Array,
    target_ids: Ints,
    negative_ids: Ints,
    target_log_expected: Array,
    negative_log_expected: Array,
    *,
    sharpness: float,
    temperature: float = 1.0,
    normalise: bool = False,
) -> tuple[Any, Any]:
    temperature, kind = float(temperature), "unit" if normalise else "none"
    masked = np.where(active[..., None], interests, 0).astype(interests.dtype)
    used, units = zip(
        *(squash.forward(x, kind=kind) for x in (masked, target, negatives)), strict=True
    )  # 1
    of_target = contract("bkd,bd->bk", used[0], used[1])[..., None] / temperature  # 2
    of_negatives = contract("bkd,sd->bks", used[0], used[2]) / temperature
    y, target_weights = pool(of_target, active, sharpness)  # 3
    z, weights = pool(of_negatives, active, sharpness)
    y, z = y[:, 0] - target_log_expected, z - negative_log_expected  # 4
    usable = np.isfinite(y) & np.isfinite(z).all(axis=1)  # pooled_softmax-R25
    y = np.where(usable, y, np.nan)
    gaps = np.where(negative_ids == target_ids[:, None], -np.inf, z) - y[:, None]  # 5
    losses, shares = compete(gaps.astype(interests.dtype), usable)  # 6
    d_y = -total(shares, 1)[:, None] * target_weights[..., 0]
    out = total(losses, 0) / interests.dtype.type(len(losses))  # 7
    return out, (used, units, active, d_y, weights * shares[:, None], temperature)


def pool(products: Array, active: Bools, sharpness: float) -> tuple[Array, Array]:
    """Return the scores (B, S) of products (B, K, S), and the weight of each product."""
    dtype, masked = products.dtype, np.where(active[..., None], products, -np.inf)
    count, best = active.sum(axis=1)[:, None], np.argmax(masked, axis=1)[:, None]
    top = np.take_along_axis(masked, best, axis=1)
    if sharpness == np.inf:
        scores, weights = top[:, 0], np.arange(active.shape[1])[:, None] == best
    elif sharpness < float(np.finfo(dtype).tiny):
        weights = np.where(active, 1 / count, 0)[..., None] + np.zeros_like(products)
        scores = total(weights.astype(dtype) * products, 1)
    else:
        sharpness = min(float(sharpness), float(np.finfo(dtype).max))
        with np.errstate(over="ignore", invalid="ignore"):
            gaps = sharpness * (masked - top)
        more = np.where(active[..., None], np.expm1(gaps), 0).astype(dtype)
        scores = top[:, 0] + np.log1p(total(more, 1) / count) / sharpness
        weights = np.exp(gaps) / total(np.exp(gaps), 1, keepdims=True)
    finite = np.isfinite(products).all(axis=1)
    return np.where(finite, scores, np.nan).astype(dtype), weights.astype(dtype)


def backward(d_out: Any, saved: Any) -> tuple[Array, ...]:
    (interests, target, negatives), units, active, d_y, d_z, temperature = saved
    scale = d_out / (len(interests) * temperature)  # 7, 2
    d_y, d_z = ((d * scale).astype(interests.dtype) for d in (d_y, d_z))
    d_interests = contract("bks,sd->bkd", d_z, negatives) + d_y[..., None] * target[:, None]
    d_target = contract("bk,bkd->bd", d_y, interests)
    d_negatives = contract("bks,bkd->sd", d_z, interests)
    gradients = (d_interests, d_target, d_negatives)
    first, *further = (squash.backward(d, unit) for d, unit in zip(gradients, units, strict=True))
    return np.where(active[..., None], first, 0).astype(interests.dtype), *further
