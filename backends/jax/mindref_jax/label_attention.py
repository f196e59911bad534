"""Label-aware attention: interests read with the target item. Spec: specs/label_attention.md."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mindref.errors import ShapeError, say
from mindref_jax.checks import bind, boolean, known, same_float
from mindref_jax.products import matmul
from mindref_jax.softmax import softmax


def label_attention(interests: Any, target: Any, active: Any, *, power: float) -> Any:
    """Map interests (B, K, D) and a target (B, D) to the user's vector for that item (B, D).

    active (B, K) true for the interests of a user, one at least; power from 0 to infinity, a plain
    number. Raises ShapeError for shapes, types and a power that do not fit, and for a user without
    an interest; while JAX traces, users are not known, and such a user's vector is zero.
    """
    check(interests, target, active, power)
    interests = jnp.where(active[:, :, None], interests, 0)  # label_attention-R4
    weights = attention(interests, target, active, float(power))
    return matmul(weights[:, None, :], interests)[:, 0]  # label_attention-R7


def attention(interests: Any, target: Any, active: Any, power: float) -> Any:
    """Return the weight of each interest (B, K)."""
    if power == 0:  # label_attention-R5, R10: scores are not looked at
        return softmax(jnp.zeros(active.shape, interests.dtype), active, axis=1)
    scores = matmul(interests, target[:, :, None])[..., 0]  # label_attention-R1
    if math.isinf(power):
        return all_to_the_best(jax.lax.stop_gradient(scores), active)
    return softmax(powers(scores, active, power), active, axis=1)  # label_attention-R3


def all_to_the_best(scores: Any, active: Any) -> Any:
    """Return one at the first largest active score (B, K), NaN for a user with a strange score."""
    count = active.shape[1]
    best = jnp.where(active, scores, -jnp.inf).argmax(1) if count else jnp.zeros(len(active), int)
    weights = jax.nn.one_hot(best, count, dtype=scores.dtype)  # label_attention-R6, R10
    usable = (jnp.isfinite(scores) | ~active).all(1, keepdims=True)
    return jnp.where(usable, weights, jnp.nan)  # label_attention-R17


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def powers(scores: Any, active: Any, power: float) -> Any:
    """Return sign(s) |s|^p, less that of the largest active score (B, K).

    Bases are divided by the largest of the two, so they lie in [-1, 1]. The derivative is stated by
    hand: JAX's own would be infinite at zero for p < 1, and NaN beyond the floats. That of what is
    subtracted is left out, as the softmax does not depend on it.
    """
    top = jnp.where(active, scores, -jnp.inf).max(1, keepdims=True, initial=-jnp.inf)
    base = jnp.maximum(jnp.abs(scores), jnp.abs(top))
    safe = jnp.where(base == 0, 1, base)
    gap = signed(scores / safe, power) - signed(top / safe, power)  # from -2 to 0
    return jnp.where(gap == 0, 0, gap * base**power)  # label_attention-R11: no 0 times infinity


def powers_forward(scores: Any, active: Any, power: float) -> tuple[Any, Any]:
    """Return the powers and their slopes p |s|^(p - 1)."""
    return powers(scores, active, power), power * jnp.abs(scores) ** (power - 1)


def powers_backward(power: float, slopes: Any, d_out: Any) -> tuple[Any, None]:
    """Return the gradient of the scores; none where a slope or product is beyond the floats."""
    found = d_out * jnp.where(slopes == jnp.inf, 0, slopes)  # label_attention-R12
    return jnp.where(jnp.isinf(found), 0, found), None  # label_attention-R13; a NaN stays


powers.defvjp(powers_forward, powers_backward)


def signed(x: Any, power: float) -> Any:
    """Return sign(x) |x|^p."""
    return jnp.sign(x) * jnp.abs(x) ** power  # label_attention-R2


def check(interests: Any, target: Any, active: Any, power: float) -> None:
    """Raise ShapeError for anything that `label_attention` cannot take."""
    bind(  # label_attention-R14
        "label_attention",
        interests=(interests, "BKD"),
        target=(target, "BD"),
        active=(active, "BK"),
    )
    same_float("label_attention", interests=interests, target=target)
    boolean("label_attention", active=active)
    if not power >= 0:  # label_attention-R15; NaN is refused, too
        raise ShapeError(say("label_attention: power", "a number from 0 to infinity", power))
    if known(active) and not np.asarray(active).any(1).all():  # label_attention-R16
        wanted = "an active interest for every user"
        raise ShapeError(say("label_attention: active", wanted, "none"))
