"""Sampled softmax: the loss of targets against shared negatives. Spec: specs/sampled_softmax.md."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mindref.errors import ShapeError, say
from mindref_torch.checks import bind, same_float
from mindref_torch.narrow import in_float32
from mindref_torch.squash import squash


@in_float32
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

    The ids (B,) and (S,) say which negatives are a user's target; the logs of the expected counts
    (B,) and (S,) are subtracted from the logits. temperature divides products; with `normalise`
    all vectors are brought to length one first. Raises ShapeError for what does not fit.
    """
    logs = {
        "target_log_expected": target_log_expected,
        "negative_log_expected": negative_log_expected,
    }
    check_shapes(user, target, negatives, target_ids, negative_ids, logs)
    check_values(user, logs, temperature)
    if normalise:  # sampled_softmax-R7, R8
        user, target, negatives = (squash(x, kind="unit") for x in (user, target, negatives))
    # sampled_softmax-R2, R6
    at_target = (user * target).sum(1) / temperature - target_log_expected
    at_negatives = user @ negatives.T / temperature - negative_log_expected
    hits = negative_ids == target_ids[:, None]
    return losses(at_target, at_negatives, hits).mean()  # sampled_softmax-R5


def losses(at_target: Tensor, at_negatives: Tensor, hits: Tensor) -> Tensor:
    """Return log(1 + sum over the negatives of exp(their logit - the target's)) of each user (B,).

    A logit that is no finite number makes NaN of the user's loss and of all its slopes, so it is
    added to each of them; then no hit is left out, as that would cut the slope.
    """
    usable = at_target.isfinite() & at_negatives.isfinite().all(1)
    if torch.compiler.is_compiling() or not usable.all():  # a graph has no way round
        poison = torch.where(usable, 0, torch.nan).to(at_target.dtype)  # sampled_softmax-R18
        at_target, at_negatives = at_target + poison, at_negatives + poison[:, None]
        hits = hits & usable[:, None]
    if not at_negatives.shape[1]:
        return at_target * 0
    logits = at_negatives.masked_fill(hits, -torch.inf)  # sampled_softmax-R3
    top = logits.detach().amax(1)  # log-sum-exp does not depend on it
    # a user without a negative gets numbers that no slope comes back from, sampled_softmax-R10
    none = top == -torch.inf
    top = top.masked_fill(none, 0)
    rest = (logits - top[:, None]).exp().sum(1)  # sampled_softmax-R4, R9
    beyond = top - at_target + rest.masked_fill(none, 1).log()
    found = torch.logaddexp(beyond, torch.zeros_like(beyond))  # sampled_softmax-R1
    return found.masked_fill(none, 0)


def check_shapes(
    user: Tensor,
    target: Tensor,
    negatives: Tensor,
    target_ids: Tensor,
    negative_ids: Tensor,
    logs: dict[str, Tensor],
) -> None:
    """Raise ShapeError for shapes and types that do not fit one another."""
    bind(  # sampled_softmax-R14
        "sampled_softmax",
        user=(user, "BD"),
        target=(target, "BD"),
        negatives=(negatives, "SD"),
        target_ids=(target_ids, "B"),
        negative_ids=(negative_ids, "S"),
        target_log_expected=(logs["target_log_expected"], "B"),
        negative_log_expected=(logs["negative_log_expected"], "S"),
    )
    same_float("sampled_softmax", user=user, target=target, negatives=negatives, **logs)


def check_values(user: Tensor, logs: dict[str, Tensor], temperature: float) -> None:
    """Raise ShapeError for an empty batch, and for logs or a temperature out of range."""
    if not torch.compiler.is_compiling():  # before a compiled step, as it cannot look at values
        check_logs(**logs)
    if len(user) == 0:  # sampled_softmax-R17
        raise ShapeError(say("sampled_softmax: user", "at least one", "none"))
    if not 0 < temperature < math.inf:  # sampled_softmax-R16
        wanted = "a finite number above 0"
        raise ShapeError(say("sampled_softmax: temperature", wanted, temperature))


def check_logs(target_log_expected: Tensor, negative_log_expected: Tensor) -> None:
    """Raise ShapeError unless the logs of the expected counts are finite (sampled_softmax-R15)."""
    logs = {
        "target_log_expected": target_log_expected,
        "negative_log_expected": negative_log_expected,
    }
    for name, log in logs.items():
        if not log.isfinite().all():
            wrong = "an infinite one or NaN"
            raise ShapeError(say(f"sampled_softmax: {name}", "finite logs", wrong))
