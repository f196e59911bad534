"""Twin of `mindref.ops.sampled_softmax`: mean_b log(1 + sum_s exp(a_bs - a_b)), a the logits.

Spec: specs/sampled_softmax.md. The products are those of BLAS; all else is compiled, and done with
one user's logits before the next one's, while they are in the nearest cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.kernels import squash
from mindref.kernels._jit import Number, jit, jit_within
from mindref.kernels.exponential import raise_to_normal
from mindref.ops.sampled_softmax import Saved, check
from mindref.ops.squash import Saved as Squashed
from mindref.shapes import Array, Ints, fits


def forward(
    user: Array,
    target: Array,
    negatives: Array,
    target_ids: Ints,
    negative_ids: Ints,
    target_log_expected: Array,
    negative_log_expected: Array,
    *,
    temperature: float = 1.0,
    normalise: bool = False,
) -> tuple[Array, Saved]:
    """Map users, their target items and shared negatives to the mean loss ()."""
    logs = (target_log_expected, negative_log_expected)
    check(user, target, negatives, target_ids, negative_ids, *logs, temperature)
    units: tuple[Squashed | None, ...] = (None, None, None)
    if normalise:
        made = [squash.forward(x, kind="unit") for x in (user, target, negatives)]
        user, target, negatives = (out for out, _ in made)
        units = tuple(saved for _, saved in made)
    p_negatives = user @ negatives.T  # (B, S)
    less = np.empty(len(user), user.dtype)
    one, divisor = user.dtype.type(1), user.dtype.type(temperature)
    ids = (target_ids, negative_ids)
    total = lose(user, target, *ids, *logs, divisor, one, p_negatives, less)
    out: Any = user.dtype.type(total / len(user))  # sampled_softmax-R5
    return out, Saved(user, target, negatives, units, p_negatives, temperature)


def backward(d_out: Array | float, saved: Saved) -> tuple[Array, Array, Array]:
    """Return d_user (B, D), d_target (B, D), d_negatives (S, D)."""
    user, target, negatives, units, p_negatives, temperature = saved
    fits("sampled_softmax", np.asarray(d_out), ())
    scale = user.dtype.type(d_out / len(user) / temperature)
    d_at_negatives, d_target = p_negatives * scale, np.empty_like(target)
    d_at_target = -d_at_negatives.sum(axis=1)  # sampled_softmax-R12
    d_user = d_at_negatives @ negatives
    scatter(d_at_target, user, target, d_user, d_target)
    d_negatives = d_at_negatives.T @ user  # sampled_softmax-R11
    found = [
        d if of is None else squash.backward(d, of)  # sampled_softmax-R8
        for d, of in zip((d_user, d_target, d_negatives), units, strict=True)
    ]
    return found[0], found[1], found[2]


@jit
def lose(
    user: Array,
    target: Array,
    target_ids: Ints,
    negative_ids: Ints,
    target_log_expected: Array,
    negative_log_expected: Array,
    temperature: Number,
    scale: Number,
    at_negatives: Array,
    d_at_target: Array,
) -> float:
    """Turn products (B, S) into their gradients, which are probabilities times `scale`.

    Writes the same of the targets' products (B,), and returns the sum of the losses. For ids any
    numbers will do that are equal where items are.
    """
    zero, whole = user.dtype.type(0), 0.0
    for b in range(user.shape[0]):
        mine, logits = zero, at_negatives[b]
        for d in range(user.shape[1]):
            mine += user[b, d] * target[b, d]
        mine = mine / temperature - target_log_expected[b]  # sampled_softmax-R2, R6
        known = reduce_by(negative_log_expected, temperature, logits)
        leave_out(target_ids[b], negative_ids, logits)  # sampled_softmax-R3, R13
        top = largest_of(logits)
        if not known or not abs(mine) < np.inf:
            mine = user.dtype.type(np.nan)  # sampled_softmax-R18
        if not abs(top) < np.inf:
            top = mine  # sampled_softmax-R10: no negative left
        lead = top - mine
        x = lead + np.log(raise_above(top, logits))
        # log(1 + exp x), sampled_softmax-R1, R9
        loss = max(x, zero) + np.log1p(np.exp(-abs(x))) if x == x else x
        total = multiply(logits, np.exp(lead - loss) * scale)
        d_at_target[b] = -total  # sampled_softmax-R12: what all negatives have, it lacks
        whole += loss
    return whole


@jit_within
def reduce_by(log_expected: Array, temperature: Number, logits: Array) -> bool:
    """Turn products (S,) into logits, and return whether all of them are finite."""
    if temperature != 1:  # a division takes longer than all else here
        for s in range(logits.shape[0]):
            logits[s] /= temperature
    total = logits.dtype.type(0)
    for s in range(logits.shape[0]):
        logits[s] -= log_expected[s]
        total += logits[s]
    known = bool(abs(total) < np.inf)
    if not known:  # a sum may overflow by itself
        known = True
        for s in range(logits.shape[0]):
            known = known and abs(logits[s]) < np.inf
    return known


@jit_within
def leave_out(target_id: int, negative_ids: Ints, logits: Array) -> None:
    """Write -infinity (S,) for a negative that is the target itself."""
    hits = 0
    for s in range(negative_ids.shape[0]):
        hits += negative_ids[s] == target_id
    if hits > 0:  # counting them costs less than asking at every logit
        for s in range(negative_ids.shape[0]):
            if negative_ids[s] == target_id:
                logits[s] = -np.inf


@jit
def largest_of(x: Array) -> Number:
    """Return the largest of numbers x (S,), of which none is NaN; NaN without any."""
    if x.itemsize == 4:
        return x.dtype.type(np.int32(highest_bits(x.view(np.int32))).view(np.float32))
    return x.dtype.type(np.int64(highest_bits(x.view(np.int64))).view(np.float64))


@jit
def highest_bits(bits: Any) -> Any:
    """Return the bits (S,) of the largest number, in lanes.

    Numbers have the order of their bits as integers, those below zero the opposite one, which
    `rest` turns round. Compared as numbers they would wait for each other, because of NaN.
    """
    top = bits.dtype.type(np.iinfo(bits.dtype).min)
    sign, rest = 8 * bits.itemsize - 1, ~top
    for s in range(bits.shape[0]):
        order = bits[s] ^ ((bits[s] >> sign) & rest)
        top = order if order > top else top
    return top ^ ((top >> sign) & rest)


@jit_within
def raise_above(top: Number, logits: Array) -> Number:
    """Replace logits (S,) by the exponentials of what they are above the top; return their sum.

    One below the smallest normal number is zero, which no sum with the top's feels.
    """
    total = logits.dtype.type(0)
    raise_to_normal(logits, top)
    for s in range(logits.shape[0]):
        total += logits[s]  # sampled_softmax-R4
    return total


@jit_within
def multiply(x: Array, factor: Number) -> Number:
    """Multiply x (S,), not below zero, by a factor, in place; return the sum.

    Zero where the product would be below the smallest normal number: in a product with such a
    number, or with one for its result, some processors take a hundred times as long.
    """
    total, zero = x.dtype.type(0), x.dtype.type(0)
    least = np.finfo(x.dtype).tiny / abs(factor)
    for s in range(x.shape[0]):
        x[s] = (zero if x[s] < least else x[s]) * factor
        total += x[s]
    return total


@jit
def scatter(d_at_target: Array, user: Array, target: Array, d_user: Array, d_target: Array) -> None:
    """Add to d_user (B, D) what comes by way of the targets, and write d_target (B, D)."""
    for b in range(user.shape[0]):
        d = d_at_target[b]
        for j in range(user.shape[1]):
            d_user[b, j] += d * target[b, j]
        for j in range(user.shape[1]):
            d_target[b, j] = d * user[b, j]
