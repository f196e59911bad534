"""Sampled softmax loss of the target item against negatives that the batch shares.

Spec: specs/sampled_softmax.md. Sources: Li et al., CIKM 2019, eq. 10-11; Jean et al. 2015 (sampling
correction). Differences: the result is a loss, the mean of -log p(target). Log expected counts are
subtracted from all logits. Accidental hits are masked. Temperature and normalisation are options.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.errors import ShapeError, say
from mindref.ops import squash
from mindref.shapes import Array, Ints, bind_axes, common_float_dtype


class Saved(NamedTuple):
    """The values that `backward` reads, among them the probabilities of the negatives.

    The probability p of the target is not saved. Backward needs only 1 - p, which is the sum of the
    probabilities of the negatives.
    """

    user: Array  # (B, D) normalised if `normalise` is true
    target: Array  # (B, D) normalised if `normalise` is true
    negatives: Array  # (S, D) normalised if `normalise` is true
    units: tuple[squash.Saved | None, ...]  # of user, target, negatives; None without `normalise`
    p_negatives: Array  # (B, S) zero for an accidental hit
    temperature: float


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
    """Return the mean loss () of users (B, D), target items (B, D) and shared negatives (S, D).

    A negative whose id in negative_ids (S,) equals the target's id in target_ids (B,) is an
    accidental hit. target_log_expected (B,) and negative_log_expected (S,): for each item, the log
    of its expected count among the drawn negatives; zero for a full softmax. temperature > 0
    divides the inner products. normalise: first divide each vector by its length. Raises ShapeError
    if an argument is invalid or the batch is empty.
    """
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
    temperature = float(temperature)  # numerics-R2: a NumPy number would decide the dtype
    (user, user_unit), (target, target_unit), (negatives, negatives_unit) = (  # 1
        to_unit_length(x, normalise=normalise) for x in (user, target, negatives)
    )

    # 2: products / temperature - log expected counts (sampled_softmax-R2, R6)
    target_logits = np.einsum("bd,bd->b", user, target) / temperature - target_log_expected  # (B,)
    negative_logits = user @ negatives.T / temperature - negative_log_expected  # (B, S)
    hits = negative_ids == target_ids[:, None]  # (B, S)
    usable = np.isfinite(target_logits) & np.isfinite(negative_logits).all(axis=1)  # (B,)
    target_logits = np.where(usable, target_logits, np.nan)  # 3, sampled_softmax-R18, numerics-R13
    negative_logits = np.where(hits, -np.inf, negative_logits)  # 3, sampled_softmax-R3, R13

    losses, p_negatives = cross_entropy(target_logits, negative_logits)  # 4 (B,), (B, S)
    out = losses.mean(dtype=user.dtype)  # 5, sampled_softmax-R5
    units = (user_unit, target_unit, negatives_unit)
    return out, Saved(user, target, negatives, units, p_negatives, temperature)


def backward(d_out: Array | float, saved: Saved) -> tuple[Array, Array, Array]:
    """Return d_user (B, D), d_target (B, D), d_negatives (S, D): a row per drawn negative."""
    scale = d_out / len(saved.user)  # 5: mean over the batch
    # 4, 3: an accidental hit has probability 0 (B, S)
    d_negative_logits = saved.p_negatives * scale / saved.temperature
    d_target_logits = -d_negative_logits.sum(axis=1)  # 4, sampled_softmax-R12 (B,)
    d_user = d_target_logits[:, None] * saved.target + d_negative_logits @ saved.negatives  # 2
    d_target = d_target_logits[:, None] * saved.user  # 2
    d_negatives = d_negative_logits.T @ saved.user  # 2, sampled_softmax-R11
    gradients = zip((d_user, d_target, d_negatives), saved.units, strict=True)
    d_user_vectors, d_target_vectors, d_negative_vectors = (
        to_unit_length_backward(d, s) for d, s in gradients
    )  # 1
    return d_user_vectors, d_target_vectors, d_negative_vectors


def cross_entropy(target_logits: Array, negative_logits: Array) -> tuple[Array, Array]:
    """Return the losses (B,), and the probabilities p (B, S) of the negatives, from logits.

    A negative with the logit -infinity has probability 0. If the target logit is NaN, the loss is
    NaN. `pooled_softmax` uses this function with other logits. The loss -log p(target) is computed
    as log(1 + exp(log-sum-exp(negative logits) - target logit)).
    """
    largest = np.max(negative_logits, axis=1, initial=-np.inf)  # (B,)
    # if all negatives are masked, use the target logit: sampled_softmax-R10, pooled_softmax-R13
    largest = np.where(np.isfinite(largest), largest, target_logits)
    # the exponential of -infinity is 0; if all negatives are masked, log 0 is -infinity
    with np.errstate(over="ignore", divide="ignore"):
        # sampled_softmax-R9, pooled_softmax-R12
        exponentials = np.exp(negative_logits - largest[:, None])
        # an id that was drawn twice counts twice: sampled_softmax-R4, pooled_softmax-R8
        log_sum = np.log(exponentials.sum(axis=1))
    # first subtract the target logit: log_sum added to a large logit would be lost by rounding
    gap = largest - target_logits
    with np.errstate(invalid="ignore"):  # a NaN operand is possible
        losses = np.logaddexp(0, gap + log_sum)  # sampled_softmax-R1 (B,)
    p_negatives = exponentials * np.exp(gap - losses)[:, None]  # (B, S)
    return losses, p_negatives


def to_unit_length(x: Array, *, normalise: bool) -> tuple[Array, squash.Saved | None]:
    """Return x / |x| for each row x (zero if x is zero). If `normalise` is false, return x."""
    return squash.forward(x, kind="unit") if normalise else (x, None)  # sampled_softmax-R7


def to_unit_length_backward(d_out: Array, saved: squash.Saved | None) -> Array:
    """Return the gradient of x: the part of d_out orthogonal to x, divided by |x|.

    Without normalisation (saved is None), the gradient of x is d_out.
    """
    return d_out if saved is None else squash.backward(d_out, saved)  # sampled_softmax-R8


def require_finite_logs(operator: str, **logs: Array) -> None:
    """Raise ShapeError if a log expected count is infinite or NaN."""
    for name, log in logs.items():
        if not np.isfinite(log).all():  # sampled_softmax-R15
            raise ShapeError(say(f"{operator}: {name}", "finite logs", "an infinite one or NaN"))


def check_inputs(
    user: Array,
    target: Array,
    negatives: Array,
    target_ids: Ints,
    negative_ids: Ints,
    target_log_expected: Array,
    negative_log_expected: Array,
    *,
    temperature: float,
) -> None:
    """Raise ShapeError if the arguments of `forward` are invalid."""
    sizes = bind_axes(  # sampled_softmax-R14
        "sampled_softmax",
        user=(user, "BD"),
        target=(target, "BD"),
        negatives=(negatives, "SD"),
        target_ids=(target_ids, "B"),
        negative_ids=(negative_ids, "S"),
        target_log_expected=(target_log_expected, "B"),
        negative_log_expected=(negative_log_expected, "S"),
    )
    logs = {
        "target_log_expected": target_log_expected,
        "negative_log_expected": negative_log_expected,
    }
    common_float_dtype("sampled_softmax", user=user, target=target, negatives=negatives, **logs)
    require_finite_logs("sampled_softmax", **logs)
    if sizes["B"] == 0:  # sampled_softmax-R17
        raise ShapeError(say("sampled_softmax: user", "at least one", "none"))
    if not 0 < temperature < np.inf:  # sampled_softmax-R16
        raise ShapeError(
            say("sampled_softmax: temperature", "a finite number above 0", temperature)
        )
