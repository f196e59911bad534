"""Behaviour-to-interest dynamic routing. Spec: specs/routing.md."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array

from mindref.ops import routing as reference
from mindref.ops import squash as squash_reference
from mindref_jax.matmul import matmul
from mindref_jax.shapes import reject_rounding
from mindref_jax.softmax import softmax
from mindref_jax.squash import squash_vectors

AXES = {"interests": 1, "behaviours": 2}  # of logits (B, K, L)


def routing(
    history: Array,
    mask: Array,
    bilinear: Array,
    init_logits: Array,
    active: Array,
    log_weights: Array | None = None,
    *,
    iterations: int,
    gradient: str,
    axis: str = "interests",
    kind: str = "squash",
) -> tuple[Array, Array]:
    """Map behaviours (B, L, D) to capsules u (B, K, D) and the last coupling weights w (B, L, K).

    mask (B, L) is true for a behaviour. bilinear is (D, D), or (L, K, D, D) for a matrix per pair.
    init_logits (B, L, K); active (B, K) is true for active interests. log_weights (B, L, K) are
    optional logs of factors of the coupling weights. With gradient "last" the coupling weights of
    the last iteration are constant; with "all" JAX differentiates every iteration. Raises
    ShapeError for wrong shapes, dtypes or options.
    """
    check_inputs(
        history,
        mask,
        bilinear,
        init_logits,
        active,
        log_weights,
        iterations=iterations,
        gradient=gradient,
        axis=axis,
        kind=kind,
    )
    return route_votes(
        project_votes(jnp.where(mask[:, :, None], history, 0), bilinear),  # routing-R6
        mask,
        init_logits,
        active,
        log_weights,
        iterations=iterations,
        gradient=gradient,
        axis=axis,
        kind=kind,
    )


def route_votes(
    votes: Array,
    mask: Array,
    init_logits: Array,
    active: Array,
    log_weights: Array | None = None,
    *,
    iterations: int,
    gradient: str,
    axis: str = "interests",
    kind: str = "squash",
) -> tuple[Array, Array]:
    """Return `routing` of checked arguments from votes (B, L, D), which are zero at padding.

    With a matrix per pair the votes are (B, K, L, D). log_weights (B, L, K + M) may have M more
    columns: for capsules after the K interests, whose coupling weights are one.
    """
    logits = jnp.swapaxes(init_logits, 1, 2)  # (B, K, L)
    allowed = active[:, :, None] & mask[:, None, :]  # routing-R7
    factors = routing_factors = None
    if log_weights is not None:
        count = active.shape[1]
        further = log_weights.shape[2] - count
        weighted = jnp.pad(active, ((0, 0), (0, further)), constant_values=True)
        factors = exp_log_weights(log_weights, weighted[:, :, None] & mask[:, None, :])
        routing_factors = factors[:, :count]
    routing_votes = votes if gradient == "all" else jax.lax.stop_gradient(votes)
    for _ in range(iterations - 1):  # routing-R5
        couplings = softmax(logits, allowed, axis=AXES[axis])
        sums = sum_votes(apply_factors(couplings, routing_factors), routing_votes)
        capsules = squash_vectors(sums, kind)
        logits = logits + vote_agreement(routing_votes, capsules)  # routing-R8
    couplings = softmax(logits, allowed, axis=AXES[axis])  # routing-R2, R9
    if gradient == "last":
        couplings = jax.lax.stop_gradient(couplings)  # routing-R12, R36, also for one iteration
    sums = sum_votes(apply_factors(couplings, factors), votes)
    return squash_vectors(sums, kind), jnp.swapaxes(couplings, 1, 2)


def exp_log_weights(log_weights: Array, allowed: Array) -> Array:
    """Return exp(log_weights) (B, C, L) of log weights (B, L, C), zero where not allowed."""
    return jnp.exp(jnp.where(allowed, jnp.swapaxes(log_weights, 1, 2), -jnp.inf))  # routing-R34


def apply_factors(couplings: Array, factors: Array | None) -> Array:
    """Return the coupling weights (B, K, L) times the factors (B, K + M, L), if there are factors.

    The coupling weights of M further capsules are one.
    """
    if factors is None:
        return couplings  # routing-R32
    further = factors.shape[1] - couplings.shape[1]
    return jnp.pad(couplings, ((0, 0), (0, further), (0, 0)), constant_values=1) * factors  # R33


def project_votes(history: Array, bilinear: Array) -> Array:
    """Return the votes S e_i (B, L, D), or S_ik e_i for each pair (B, K, L, D)."""
    if bilinear.ndim == 2:
        num_rows = math.prod(history.shape[:-1])
        rows = history.reshape(num_rows, history.shape[-1])  # one product, also in the gradients
        return matmul(rows, bilinear.T).reshape(history.shape)  # routing-R1
    precision = jax.lax.Precision.HIGHEST
    return jnp.einsum("lkde,ble->bkld", bilinear, history, precision=precision)  # routing-R25


def sum_votes(couplings: Array, votes: Array) -> Array:
    """Return the sums z (B, K, D) of votes with coupling weights (B, K, L) over L."""
    if votes.ndim == 3:
        return matmul(couplings, votes)  # routing-R3
    return matmul(couplings[:, :, None, :], votes)[:, :, 0]


def vote_agreement(votes: Array, capsules: Array) -> Array:
    """Return the inner product of each vote with each capsule (B, K, L)."""
    if votes.ndim == 3:
        return matmul(capsules, jnp.swapaxes(votes, 1, 2))
    return matmul(votes, capsules[..., None])[..., 0]


def check_inputs(
    history: Array,
    mask: Array,
    bilinear: Array,
    init_logits: Array,
    active: Array,
    log_weights: Array | None = None,
    *,
    iterations: int,
    gradient: str,
    axis: str = "interests",
    kind: str = "squash",
) -> None:
    """Raise ShapeError if the arguments of `routing` are invalid."""
    # routing-R39
    reference.check_inputs(history, mask, bilinear, init_logits, active, log_weights)
    reference.check_routing_options(iterations, gradient, axis)
    squash_reference.check_inputs(history, kind)
    reject_rounding("routing", history)
