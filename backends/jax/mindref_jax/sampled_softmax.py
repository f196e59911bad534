"""Sampled softmax: the loss of targets against shared negatives. Spec: specs/sampled_softmax.md."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mindref.errors import ShapeError, say
from mindref_jax.checks import bind, known, same_float
from mindref_jax.products import matmul
from mindref_jax.squash import squash


def sampled_softmax(
    user: Any,
    target: Any,
    negatives: Any,
    target_ids: Any,
    negative_ids: Any,
    target_log_expected: Any,
    negative_log_expected: Any,
    *,
    temperature: float = 1.0,
    normalise: bool = False,
) -> Any:
    """Map users (B, D), targets (B, D) and shared negatives (S, D) to the mean loss ().

    The ids (B,) and (S,) say which negatives are a user's target; the logs of the expected counts
    (B,) and (S,) are subtracted from the logits. temperature, a plain number, divides products;
    with `normalise` all vectors are brought to length one first. Raises ShapeError for what does
    not fit; while JAX traces, the logs are not known and not looked at.
    """
    check(
        *(user, target, negatives, target_ids, negative_ids),
        *(target_log_expected, negative_log_expected),
        temperature=temperature,
    )
    if normalise:  # sampled_softmax-R7, R8
        user, target, negatives = (squash(x, kind="unit") for x in (user, target, negatives))
    # sampled_softmax-R2, R6
    at_target = (user * target).sum(1) / temperature - target_log_expected
    at_negatives = matmul(user, negatives.T) / temperature - negative_log_expected
    hits = negative_ids == target_ids[:, None]
    return losses(at_target, at_negatives, hits).mean()  # sampled_softmax-R5


def losses(at_target: Any, at_negatives: Any, hits: Any) -> Any:
    """Return log(1 + sum over the negatives of exp(their logit - the target's)) of each user (B,).

    NaN is added to a target's logit and not put in its place, so that it reaches the gradient.
    """
    usable = jnp.isfinite(at_target) & jnp.isfinite(at_negatives).all(1)
    at_target = at_target + jnp.where(usable, 0, jnp.nan).astype(at_target.dtype)  # R18
    kept = ~(hits & usable[:, None])  # sampled_softmax-R3; a strange user's slopes are not cut
    left = kept.any(1)
    logits = jnp.where(kept, at_negatives, -jnp.inf)
    logits = jnp.where(left[:, None], logits, 0)  # else 0 / 0 would come back
    top = jax.lax.stop_gradient(
        logits.max(1, initial=-jnp.inf)
    )  # log-sum-exp does not depend on it
    top = jnp.where(left, top, 0)
    total = jnp.exp(logits - top[:, None]).sum(1)  # sampled_softmax-R4, R9
    rest = jnp.log(jnp.where(left, total, 1))
    found = jax.nn.softplus((top - at_target) + rest)  # sampled_softmax-R1, R12
    return jnp.where(left, found, at_target * 0)  # sampled_softmax-R10


def check(
    user: Any,
    target: Any,
    negatives: Any,
    target_ids: Any,
    negative_ids: Any,
    target_log_expected: Any,
    negative_log_expected: Any,
    *,
    temperature: float = 1.0,
    normalise: bool = False,
) -> None:
    """Raise ShapeError for anything that `sampled_softmax` cannot take."""
    logs = {
        "target_log_expected": target_log_expected,
        "negative_log_expected": negative_log_expected,
    }
    bind(  # sampled_softmax-R14
        "sampled_softmax",
        user=(user, "BD"),
        target=(target, "BD"),
        negatives=(negatives, "SD"),
        target_ids=(target_ids, "B"),
        negative_ids=(negative_ids, "S"),
        target_log_expected=(target_log_expected, "B"),
        negative_log_expected=(negative_log_expected, "S"),
    )
    same_float("sampled_softmax", user=user, target=target, negatives=negatives, **logs)
    for name, log in logs.items():
        if known(log) and not np.isfinite(np.asarray(log)).all():  # sampled_softmax-R15
            wrong = "an infinite one or NaN"
            raise ShapeError(say(f"sampled_softmax: {name}", "finite logs", wrong))
    if len(user) == 0:  # sampled_softmax-R17
        raise ShapeError(say("sampled_softmax: user", "at least one", "none"))
    if not 0 < temperature < math.inf:  # sampled_softmax-R16
        wanted = "a finite number above 0"
        raise ShapeError(say("sampled_softmax: temperature", wanted, temperature))
