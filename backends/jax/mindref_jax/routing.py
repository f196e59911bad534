"""Behaviour-to-interest dynamic routing. Spec: specs/routing.md."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mindref.errors import ShapeError, say
from mindref_jax.checks import bind, boolean, one_of, same_float
from mindref_jax.products import matmul
from mindref_jax.softmax import softmax
from mindref_jax.squash import KINDS, squash

AXES = {"interests": 1, "behaviours": 2}  # of logits (B, K, L)


def routing(
    history: Any,
    mask: Any,
    bilinear: Any,
    init_logits: Any,
    active: Any,
    *,
    iterations: int,
    gradient: str,
    axis: str = "interests",
    kind: str = "squash",
) -> tuple[Any, Any]:
    """Map behaviours (B, L, D) to capsules (B, K, D), and to whom each speaks (B, L, K).

    mask (B, L) true for a behaviour; bilinear (D, D), or (L, K, D, D) with a matrix for each pair;
    init_logits (B, L, K); active (B, K). `iterations` rounds. With gradient "last" the weights of
    the last round are constants for JAX, with "all" it differentiates every round. Raises
    ShapeError for shapes, types and options that do not fit.
    """
    check(history, mask, bilinear, init_logits, active, iterations, gradient, axis, kind)
    votes = votes_of(jnp.where(mask[:, :, None], history, 0), bilinear)  # routing-R6
    logits = jnp.swapaxes(init_logits, 1, 2)  # (B, K, L) from here on
    allowed = active[:, :, None] & mask[:, None, :]  # routing-R7
    watched = votes if gradient == "all" else jax.lax.stop_gradient(votes)
    for _ in range(iterations - 1):  # routing-R5
        weights = softmax(logits, allowed, axis=AXES[axis])
        capsules = squash(gathered(weights, watched), kind=kind)
        logits = logits + agreement(watched, capsules)  # routing-R8
    weights = softmax(logits, allowed, axis=AXES[axis])  # routing-R2, R9
    if gradient == "last":
        weights = jax.lax.stop_gradient(weights)  # routing-R12, of the first round as well
    capsules = squash(gathered(weights, votes), kind=kind)  # routing-R4
    return capsules, jnp.swapaxes(weights, 1, 2)


def votes_of(history: Any, bilinear: Any) -> Any:
    """Return S e_i (B, L, D), or S_ik e_i for each pair (B, K, L, D)."""
    if bilinear.ndim == 2:
        rows = history.reshape(-1, history.shape[2])  # of one product, and so are its gradients
        return matmul(rows, bilinear.T).reshape(history.shape)  # routing-R1
    exact = jax.lax.Precision.HIGHEST
    return jnp.einsum("lkde,ble->bkld", bilinear, history, precision=exact)  # routing-R25


def gathered(weights: Any, votes: Any) -> Any:
    """Return what each interest hears (B, K, D): votes times weights (B, K, L), summed over L."""
    if votes.ndim == 3:
        return matmul(weights, votes)  # routing-R3
    return matmul(weights[:, :, None, :], votes)[:, :, 0]


def agreement(votes: Any, capsules: Any) -> Any:
    """Return the inner products of votes and capsules (B, K, L)."""
    if votes.ndim == 3:
        return matmul(capsules, jnp.swapaxes(votes, 1, 2))
    return matmul(votes, capsules[..., None])[..., 0]


def check(
    history: Any,
    mask: Any,
    bilinear: Any,
    init_logits: Any,
    active: Any,
    iterations: int,
    gradient: str,
    axis: str = "interests",
    kind: str = "squash",
) -> None:
    """Raise ShapeError for anything that `routing` cannot take."""
    bind(
        "routing",
        history=(history, "BLD"),
        mask=(mask, "BL"),
        init_logits=(init_logits, "BLK"),
        active=(active, "BK"),
        bilinear=(bilinear, "LKDD" if bilinear.ndim == 4 else "DD"),
    )
    same_float("routing", history=history, bilinear=bilinear, init_logits=init_logits)
    boolean("routing", mask=mask, active=active)
    if not isinstance(iterations, int | np.integer) or iterations < 1:  # routing-R29
        raise ShapeError(say("routing: iterations", "an integer from 1", iterations))
    one_of("routing: gradient", ("all", "last"), gradient)  # routing-R30
    one_of("routing: axis", tuple(AXES), axis)  # routing-R31
    one_of("routing: kind", KINDS, kind)
