"""Compiled sampled softmax loss: mean_b log(1 + sum_s exp(a_bs - a_b)), a the logits.

Spec: specs/sampled_softmax.md. BLAS computes the matrix products; the rest is compiled. All steps
of one user are done before the next user, while the logits are in the nearest cache.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from mindref.kernels import squash
from mindref.kernels._jit import Number, jit, jit_inline
from mindref.kernels.contiguous import contiguous_integers, readonly_contiguous
from mindref.kernels.exponential import exp_inplace_flush
from mindref.ops.sampled_softmax import Saved, check_inputs
from mindref.ops.squash import Saved as Squashed
from mindref.shapes import Array, Ints, require_gradient_shape

Word = TypeVar("Word", np.int32, np.int64)


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
    """Return the mean loss () of users, their target items and shared negatives."""
    check_inputs(
        user,
        target,
        negatives,
        target_ids,
        negative_ids,
        target_log_expected,
        negative_log_expected,
        temperature=temperature,
    )
    user, target, negatives = map(readonly_contiguous, (user, target, negatives))
    units: tuple[Squashed | None, ...] = (None, None, None)
    if normalise:
        squashed = [squash.forward(x, kind="unit") for x in (user, target, negatives)]
        user, target, negatives = (out for out, _ in squashed)
        units = tuple(saved for _, saved in squashed)
    products = user @ negatives.T  # (B, S)
    d_target_logit = np.empty(len(user), user.dtype)
    one, divisor = user.dtype.type(1), user.dtype.type(temperature)
    total = cross_entropy(
        user,
        target,
        contiguous_integers(target_ids),
        contiguous_integers(negative_ids),
        readonly_contiguous(target_log_expected),
        readonly_contiguous(negative_log_expected),
        divisor,
        one,
        products,
        d_target_logit,
    )
    out: Any = user.dtype.type(total / len(user))  # sampled_softmax-R5
    return out, Saved(user, target, negatives, units, products, temperature)


def backward(d_out: Array | float, saved: Saved) -> tuple[Array, Array, Array]:
    """Return d_user (B, D), d_target (B, D), d_negatives (S, D)."""
    user, target, negatives, units, products, temperature = saved
    require_gradient_shape("sampled_softmax", np.asarray(d_out), ())
    scale = user.dtype.type(d_out / len(user) / temperature)
    d_products, d_target = products * scale, np.empty_like(target)
    d_target_logit = -d_products.sum(axis=1)  # sampled_softmax-R12
    d_user = d_products @ negatives
    add_target_terms(d_target_logit, user, target, d_user, d_target)
    d_negatives = d_products.T @ user  # sampled_softmax-R11
    gradients = [
        d if saved_unit is None else squash.backward(d, saved_unit)  # sampled_softmax-R8
        for d, saved_unit in zip((d_user, d_target, d_negatives), units, strict=True)
    ]
    return gradients[0], gradients[1], gradients[2]


@jit
def cross_entropy(
    user: Array,
    target: Array,
    target_ids: Ints,
    negative_ids: Ints,
    target_log_expected: Array,
    negative_log_expected: Array,
    temperature: Number,
    scale: Number,
    products: Array,
    d_target_logit: Array,
) -> float:
    """Return the sum of the losses; replace products (B, S) by their gradients.

    The gradients are probabilities times `scale`. Writes the gradient of the target's product (B,)
    to d_target_logit. Instead of ids, any numbers that are equal for equal items may be used.
    """
    zero, one, loss_sum = user.dtype.type(0), user.dtype.type(1), 0.0
    for b in range(user.shape[0]):
        target_logit, logits = zero, products[b]
        for d in range(user.shape[1]):
            target_logit += user[b, d] * target[b, d]
        target_logit = target_logit / temperature - target_log_expected[b]  # sampled_softmax-R2, R6
        finite = logits_from_products(negative_log_expected, temperature, logits)
        mask_accidental_hits(target_ids[b], negative_ids, logits)  # sampled_softmax-R3, R13
        loss, negative_sum = loss_of_logits(target_logit, finite, logits, one, scale)
        d_target_logit[b] = -negative_sum  # sampled_softmax-R12: the gradients sum to zero
        loss_sum += loss
    return loss_sum


@jit_inline
def loss_of_logits(
    target_logit: Number, finite: bool, logits: Array, factor: Number, scale: Number
) -> tuple[float, Number]:
    """Return the loss of a target, log(1 + factor sum_s exp(a_s - a)), and a sum of gradients.

    target_logit: a; logits (S,): a_s of the negatives. Replaces the logits by their gradients times
    `scale`, and returns the sum of these. If `finite` is false, the results are NaN.
    """
    top = largest_logit(logits)
    if not finite or not abs(target_logit) < np.inf:
        target_logit = logits.dtype.type(np.nan)  # sampled_softmax-R18
    if not abs(top) < np.inf:
        top = target_logit  # sampled_softmax-R10: no negative left
    gap = top - target_logit
    x = gap + np.log(exp_shifted(top, logits) * factor)
    # log(1 + exp x), sampled_softmax-R1, R9
    loss = max(x, logits.dtype.type(0)) + np.log1p(np.exp(-abs(x))) if x == x else x
    return float(loss), scale_inplace_flush(logits, np.exp(gap - loss) * factor * scale)


@jit_inline
def logits_from_products(log_expected: Array, temperature: Number, logits: Array) -> bool:
    """Turn products (S,) into logits in place; return whether all of them are finite."""
    if temperature != 1:  # a division takes longer than the rest of this function
        for s in range(logits.shape[0]):
            logits[s] /= temperature
    total = logits.dtype.type(0)
    for s in range(logits.shape[0]):
        logits[s] -= log_expected[s]
        total += logits[s]
    finite = bool(abs(total) < np.inf)
    if not finite:  # only the sum may overflow
        finite = True
        for s in range(logits.shape[0]):
            finite = finite and abs(logits[s]) < np.inf
    return finite


@jit_inline
def count_hits(target_id: int, negative_ids: Ints) -> int:
    """Return how many negatives are the target."""
    hits = 0
    for s in range(negative_ids.shape[0]):
        hits += negative_ids[s] == target_id
    return hits


@jit_inline
def mask_accidental_hits(target_id: int, negative_ids: Ints, logits: Array) -> None:
    """Write -infinity (S,) for each negative that is the target."""
    if count_hits(target_id, negative_ids) > 0:  # counting costs less than a branch at every logit
        for s in range(negative_ids.shape[0]):
            if negative_ids[s] == target_id:
                logits[s] = -np.inf


@jit
def largest_logit(x: Array) -> Number:
    """Return the largest of x (S,), of which none is NaN; NaN if x is empty."""
    if x.itemsize == 4:
        return x.dtype.type(np.int32(largest_bits(x.view(np.int32))).view(np.float32))
    return x.dtype.type(np.int64(largest_bits(x.view(np.int64))).view(np.float64))


@jit
def largest_bits(bits: npt.NDArray[Word]) -> Word:
    """Return the bits (S,) of the largest number, vectorised.

    Floats have the order of their bits as integers; negative floats have the opposite order, which
    the xor with `value_bits` reverses. A comparison of floats is not vectorised, because of NaN.
    """
    top = bits.dtype.type(np.iinfo(bits.dtype).min)
    sign, value_bits = 8 * bits.itemsize - 1, ~top
    for s in range(bits.shape[0]):
        order = bits[s] ^ ((bits[s] >> sign) & value_bits)
        top = order if order > top else top
    return top ^ ((top >> sign) & value_bits)


@jit_inline
def exp_shifted(top: Number, logits: Array) -> Number:
    """Replace logits (S,) by exp(logits - top); return their sum.

    A value below the smallest normal number becomes zero, which does not change the sum: one of the
    values is 1.
    """
    total = logits.dtype.type(0)
    exp_inplace_flush(logits, top)
    for s in range(logits.shape[0]):
        total += logits[s]  # sampled_softmax-R4
    return total


@jit_inline
def scale_inplace_flush(x: Array, factor: Number) -> Number:
    """Multiply x (S,), not negative, by a factor, in place; return the sum.

    A product below the smallest normal number becomes zero: some processors need a hundred times as
    long for operations with subnormal numbers.
    """
    total, zero = x.dtype.type(0), x.dtype.type(0)
    smallest = np.finfo(x.dtype).tiny / abs(factor)
    for s in range(x.shape[0]):
        x[s] = (zero if x[s] < smallest else x[s]) * factor
        total += x[s]
    return total


@jit
def add_target_terms(
    d_target_logit: Array, user: Array, target: Array, d_user: Array, d_target: Array
) -> None:
    """Add the gradient through the target to d_user (B, D), and write d_target (B, D)."""
    for b in range(user.shape[0]):
        d = d_target_logit[b]
        for j in range(user.shape[1]):
            d_user[b, j] += d * target[b, j]
        for j in range(user.shape[1]):
            d_target[b, j] = d * user[b, j]
