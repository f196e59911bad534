"""Twin of `mindref.ops.pooled_softmax`: the active interests as rows, one user after the other.

Spec: specs/pooled_softmax.md. Inactive interests are left out and so cost nothing. What
follows the products goes over users in blocks that stay in the cache of a core: exponentials and
logs of a block are NumPy's, which run in lanes; the loops between them are compiled (`pooling.py`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.kernels import pooling, squash
from mindref.kernels._jit import Number
from mindref.kernels.pooling import HARD, MEAN, SOFT
from mindref.ops.pooled_softmax import check_arrays, check_numbers
from mindref.ops.squash import Saved as Squashed
from mindref.shapes import Array, Bools, Ints, fits

BLOCK = 1 << 18
"""Products of one block of users, about: a MiB of single numbers."""


class Saved(NamedTuple):
    """The rows of the active interests, and the slopes of the losses by their products."""

    active: Bools  # (B, K)
    starts: Ints  # (B + 1,) where the rows of each user start
    rows: Array  # (A, D) active interests as used
    target: Array  # (B, D) as used
    negatives: Array  # (S, D) as used
    units: tuple[Squashed | None, ...]  # of rows, target, negatives
    at_target: Array  # (A,)
    at_negatives: Array  # (A, S)
    temperature: float


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
) -> tuple[Array, Saved]:
    """Map the active interests of users, their target items and shared negatives to the loss ()."""
    logs = (target_log_expected, negative_log_expected)
    check_arrays(interests, active, target, negatives, target_ids, negative_ids, *logs)
    check_numbers(sharpness, temperature)
    number, users = interests.dtype.type, len(target)
    kind, beta = kind_of(sharpness, interests.dtype)
    starts = np.concatenate([[0], np.cumsum(active.sum(axis=1))])
    rows = interests[active]  # pooled_softmax-R4 (A, D)
    units: tuple[Squashed | None, ...] = (None, None, None)
    if normalise:
        made = [squash.forward(x, kind="unit") for x in (rows, target, negatives)]
        rows, target, negatives = (out for out, _ in made)
        units = tuple(saved for _, saved in made)

    at_target, weights = np.empty(users, number), np.empty(len(rows), number)
    pooling.score_targets(
        rows, starts, target, number(temperature), kind, number(beta), weights, at_target
    )
    at_target -= target_log_expected  # pooled_softmax-R6
    slopes, losses = np.empty((len(rows), len(negatives)), number), np.empty(users, number)
    np.matmul(
        rows, negatives.T, out=slopes
    )  # at once: in blocks each would arrange the negatives anew
    step = max(1, BLOCK // max(1, active.shape[1] * len(negatives)))
    for first in range(0, users, step):
        some = slice(first, min(first + step, users))
        begin, end = starts[first], starts[some.stop]
        products, own = slopes[begin:end], starts[first : some.stop + 1] - begin
        pooled = pool(products, own, number(temperature), kind, number(beta))
        ids = (target_ids[some], negative_ids)
        losses[some], lack = lose(products, own, *pooled, at_target[some], *ids, logs[1], kind)
        weights[begin:end] *= np.repeat(-lack, np.diff(own))  # pooled_softmax-R15
    out = losses.mean(dtype=number)  # pooled_softmax-R9
    vectors = (rows, target, negatives, units)
    return out, Saved(active, starts, *vectors, weights, slopes, temperature)


def backward(d_out: Array | float, saved: Saved) -> tuple[Array, Array, Array]:
    """Return d_interests (B, K, D), d_target (B, D), d_negatives (S, D)."""
    active, starts, rows, target, negatives, units, at_target, at_negatives, temperature = saved
    fits("pooled_softmax", np.asarray(d_out), ())
    scale = rows.dtype.type(d_out / len(target) / temperature)
    d_rows, d_target = at_negatives @ negatives, np.zeros_like(target)
    pooling.exchange(at_target, starts, rows, target, d_rows, d_target)
    d_negatives = at_negatives.T @ rows  # pooled_softmax-R14
    gradients = (d_rows * scale, d_target * scale, d_negatives * scale)
    of_rows, of_target, of_negatives = (
        d if of is None else squash.backward(d, of)  # pooled_softmax-R11
        for d, of in zip(gradients, units, strict=True)
    )
    d_interests = np.zeros((*active.shape, rows.shape[1]), rows.dtype)
    d_interests[active] = of_rows  # pooled_softmax-R4
    return d_interests, of_target, of_negatives


def kind_of(sharpness: float, dtype: np.dtype[Any]) -> tuple[int, float]:
    """Return how scores are pooled, and the sharpness as a number of the type."""
    info = np.finfo(dtype)
    if sharpness < float(info.tiny):  # pooled_softmax-R2
        return MEAN, 0.0
    if np.isinf(sharpness):  # pooled_softmax-R3
        return HARD, 0.0
    return SOFT, min(float(sharpness), float(info.max))


def pool(
    x: Array, starts: Ints, temperature: Number, kind: int, sharpness: Number
) -> tuple[Array, Array]:
    """Return scores (B, S) of products x (A, S), NaN for the row of a user with a bad one.

    And what is needed for the weights: the sums (B, S) of the exponentials that x becomes, or
    the place of the largest, counted from the user's first row.
    """
    scores = np.empty((len(starts) - 1, x.shape[1]), x.dtype)
    aside = np.empty_like(scores)
    if kind == MEAN:
        pooling.average(x, starts, temperature, scores)
    elif kind == HARD:
        pooling.choose(x, starts, temperature, scores, aside)
    else:
        pooling.lower(x, starts, temperature, sharpness, scores)
        share = (1 / np.diff(starts)).astype(x.dtype)[:, None]
        with np.errstate(invalid="ignore"):  # a NaN comes this far on purpose
            if sharpness < 1:  # pooled_softmax-R5: the log of a mean near 1 would be a rounding
                pooling.add_up(np.expm1(x), starts, aside)
                logs = np.log1p(aside * share)
            np.exp(x, out=x)
            pooling.add_up(x, starts, aside)
            if sharpness >= 1:
                logs = np.log(aside * share)
        scores += logs / sharpness  # pooled_softmax-R1
    return scores, aside


def lose(
    x: Array,
    starts: Ints,
    scores: Array,
    aside: Array,
    at_target: Array,
    target_ids: Ints,
    negative_ids: Ints,
    negative_log_expected: Array,
    kind: int,
) -> tuple[Array, Array]:
    """Return losses (B,) and sums (B,) of the probabilities of negatives; x becomes slopes."""
    pooling.correct(scores, at_target, target_ids, negative_ids, negative_log_expected)
    with np.errstate(all="ignore"):
        top = scores.max(axis=1, initial=-np.inf)
        top = np.where(np.isfinite(top), top, at_target)  # pooled_softmax-R13: no negative left
        lead = top - at_target
        scores -= top[:, None]
        p = np.exp(scores, out=scores)
        losses = np.logaddexp(0, lead + np.log(p.sum(axis=1)))  # pooled_softmax-R6, R8, R12
        p *= np.exp(lead - losses)[:, None]
        lack = p.sum(axis=1)
        if kind == SOFT:  # pooled_softmax-R16: a weight is an exponential over their sum
            p /= aside
    pooling.spread(x, starts, p, aside, kind)
    return losses, lack
