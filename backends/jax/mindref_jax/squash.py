"""Squash: the length of a capsule becomes less than one. Spec: specs/squash.md."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from mindref.ops import squash as reference
from mindref_jax.shapes import reject_rounding


def squash(x: Array, *, kind: str) -> Array:
    """Map vectors x (..., D) of length n to capsules x n / (1 + n^2).

    kind "unit" returns x / n, zero for zero; "none" returns x. Raises ShapeError for another kind,
    a dtype other than float32 and float64, and a scalar.
    """
    check_inputs(x, kind)
    return squash_vectors(x, kind)


def squash_vectors(x: Array, kind: str) -> Array:
    """Return `squash` of checked arguments."""
    return jnp.asarray(x) if kind == "none" else scale_vectors(x, kind)  # squash-R7


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def scale_vectors(x: Array, kind: str) -> Array:
    """Return x f for the factor f = n / (1 + n^2), or f = 1 / n for the kind "unit".

    The derivative has a closed form: f d + a <a, d> s for the direction a and s = n df/dn.
    """
    return vectors_and_saved(x, kind)[0]


@partial(jax.jit, static_argnames="kind")  # traced once for each shape, also in other functions
def vectors_and_saved(x: Array, kind: str) -> tuple[Array, tuple[Array, Array, Array]]:
    """Return `scale_vectors`, and the values for the gradient: x c, f, and s / q^2.

    q is the length of x c for a power of two c. So no square overflows, and n = q / c.
    """
    scale = power_of_two_scale(x)  # c
    # for a constant x, XLA would rewrite (x c) (x c) as (x x) (c c), and c c overflows
    scaled = jax.lax.optimization_barrier(x * scale)
    square = (scaled * scaled).sum(-1, keepdims=True)
    zero = square == 0
    square = jnp.where(zero, 1, square)
    # `where` after the root: XLA computes a division by a plain root with two roundings
    root = jnp.where(zero, 1, jnp.sqrt(square))  # q
    if kind == "unit":
        factor = jnp.minimum(scale / root, jnp.finfo(x.dtype).max)  # squash-R6
        factor = jnp.where(zero, 0, factor)
        return scaled / root, (scaled, factor, -factor / square)  # squash-R3
    n = jnp.where(zero, 0, root / scale)
    short = n <= 1
    r = jnp.where(short, n, 1 / jnp.where(short, 1, n))  # no overflow of n^2
    denominator = 1 + r * r
    factor = r / denominator
    slope = factor * (1 - r * r) / denominator / square
    gain = jnp.where(short, r * r, 1) / denominator  # the new length n f
    saved = scaled, factor, jnp.where(short, slope, -slope)
    return scaled * (gain / root), saved  # squash-R1, R2, R5


def backpropagate(kind: str, saved: tuple[Array, Array, Array], d_out: Array) -> tuple[Array]:
    """Return the gradient of the vectors."""
    scaled, factor, slope = saved
    return (factor * d_out + scaled * ((scaled * d_out).sum(-1, keepdims=True) * slope),)


scale_vectors.defvjp(vectors_and_saved, backpropagate)


def power_of_two_scale(x: Array) -> Array:
    """Return for each vector a power of two that scales its largest component to about one.

    The power is computed from the bits of the float. A division is not possible: XLA multiplies by
    the inverse, which may be subnormal. NaN if a component is not finite.
    """
    largest = jnp.abs(x).max(-1, keepdims=True, initial=0)  # squash-R4
    float_info = jnp.finfo(x.dtype)
    bits = jax.lax.bitcast_convert_type(largest, f"int{float_info.bits}")
    exponent = bits >> float_info.nmant  # biased; 0 and the maximum are not normal floats
    opposite = jnp.clip(2 * (float_info.maxexp - 1) - exponent, 1)
    scale = jax.lax.bitcast_convert_type(opposite << float_info.nmant, x.dtype)
    return jnp.where(jnp.isfinite(largest), scale, jnp.nan)


def check_inputs(x: Array, kind: str) -> None:
    """Raise ShapeError if the arguments of `squash` are invalid."""
    reference.check_inputs(x, kind)
    reject_rounding("squash", x)
