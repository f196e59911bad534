"""Sampled softmax: the loss of targets with shared negatives. Spec: specs/sampled_softmax.md."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mindref.errors import ShapeError, say
from mindref_torch.mixed_precision import compute_in_float32
from mindref_torch.shapes import bind_axes, require_float_dtype
from mindref_torch.squash import squash


@compute_in_float32
def sampled_softmax(
    user: Tensor,
    target: Tensor,
    negatives: Tensor,
    target_ids: Tensor,
    negative_ids: Tensor,
    target_log_expected: Tensor,
    negative_log_expected: Tensor,
    *,
    temperature: float = 1.0,
    normalise: bool = False,
) -> Tensor:
    """Map users (B, D), targets (B, D) and shared negatives (S, D) to the mean loss ().

    A negative with the id of the target is an accidental hit; ids are (B,) and (S,). The log
    expected counts (B,) and (S,) are subtracted from the logits. The products are divided by
    temperature. With `normalise` all vectors have length one. Raises ShapeError for invalid
    arguments.
    """
    check_inputs(
        "sampled_softmax",
        {"user": (user, "BD")},
        target,
        negatives,
        target_ids,
        negative_ids,
        target_log_expected,
        negative_log_expected,
    )
    if len(user) == 0:  # sampled_softmax-R17
        raise ShapeError(say("sampled_softmax: user", "at least one", "none"))
    if not 0 < temperature < math.inf:  # sampled_softmax-R16
        expected = "a finite number above 0"
        raise ShapeError(say("sampled_softmax: temperature", expected, temperature))
    if normalise:  # sampled_softmax-R7, R8
        user, target, negatives = (squash(x, kind="unit") for x in (user, target, negatives))
    # sampled_softmax-R2, R6
    target_logit = (user * target).sum(1) / temperature - target_log_expected
    negative_logits = user @ negatives.T / temperature - negative_log_expected
    hits = negative_ids == target_ids[:, None]
    return cross_entropy(target_logit, negative_logits, hits).mean()  # sampled_softmax-R5


def cross_entropy(target_logit: Tensor, negative_logits: Tensor, hits: Tensor) -> Tensor:
    """Return log(1 + sum_s exp(negative logit - target logit)) for each user (B,).

    If a logit is not finite, NaN is added to all logits of the user. Then the loss and all slopes
    of the user are NaN. The hits of this user are not masked, because the mask would hide NaN.
    """
    usable = target_logit.isfinite() & negative_logits.isfinite().all(1)
    if torch.compiler.is_compiling() or not usable.all():  # a graph cannot branch
        nan_or_zero = torch.where(usable, 0, torch.nan).to(target_logit)  # sampled_softmax-R18
        target_logit = target_logit + nan_or_zero
        negative_logits = negative_logits + nan_or_zero[:, None]
        hits = hits & usable[:, None]
    if not negative_logits.shape[1]:
        return target_logit * 0
    masked_logits = negative_logits.masked_fill(hits, -torch.inf)  # sampled_softmax-R3
    largest = masked_logits.detach().amax(1)  # constant: log-sum-exp does not depend on it
    # a user without negatives gets finite values with zero slope, sampled_softmax-R10
    no_negatives = largest == -torch.inf
    largest = largest.masked_fill(no_negatives, 0)
    sum_exp = (masked_logits - largest[:, None]).exp().sum(1)  # sampled_softmax-R4, R9
    gap = largest - target_logit + sum_exp.masked_fill(no_negatives, 1).log()
    losses = torch.logaddexp(gap, torch.zeros_like(gap))  # sampled_softmax-R1
    return losses.masked_fill(no_negatives, 0)


def check_inputs(
    loss: str,
    users: dict[str, tuple[Tensor, str]],
    target: Tensor,
    negatives: Tensor,
    target_ids: Tensor,
    negative_ids: Tensor,
    target_log_expected: Tensor,
    negative_log_expected: Tensor,
) -> None:
    """Raise ShapeError if the tensors of a softmax loss are invalid; users: tensors and axes."""
    bind_axes(  # sampled_softmax-R14, pooled_softmax-R19
        loss,
        **users,
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
    vectors = {name: x for name, (x, axes) in users.items() if axes[-1] == "D"}
    require_float_dtype(loss, **vectors, target=target, negatives=negatives, **logs)
    if not torch.compiler.is_compiling():  # a compiled step cannot check values
        check_log_expected(loss, logs)


def check_log_expected(loss: str, logs: dict[str, Tensor]) -> None:
    """Raise ShapeError unless the logs are finite (sampled_softmax-R15, pooled_softmax-R20)."""
    for name, log in logs.items():
        if not log.isfinite().all():
            got = "an infinite one or NaN"
            raise ShapeError(say(f"{loss}: {name}", "finite logs", got))
