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
    if kind == "none":  # squash-R7
        return jnp.asarray(x)
    return unit_direction(x) if kind == "unit" else squash_capsules(x)  # squash-R6


@partial(jax.jit)  # traced once for each shape, also inside other functions
def unit_direction(x: Array) -> Array:
    """Return x / |x|, zero for zero."""
    # for a constant x, XLA would rewrite (x s) (x s) as (x x) (s s), and s s overflows
    scaled = jax.lax.optimization_barrier(x * jax.lax.stop_gradient(power_of_two_scale(x)))
    square = (scaled * scaled).sum(-1, keepdims=True)
    zero = square == 0
    # `where` after the root: XLA computes a division by a plain root with two roundings
    root = jnp.where(zero, 1, jnp.sqrt(jnp.where(zero, 1, square)))
    return jnp.where(zero, 0, scaled / root)  # squash-R3


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


@partial(jax.custom_jvp, nondiff_argnums=())
def norm_and_direction(x: Array) -> tuple[Array, Array]:
    """Return |x| (..., 1) and x / |x|.

    The derivative of |x| is the direction, without squares of tiny numbers.
    """
    direction = unit_direction(x)
    return (direction * x).sum(-1, keepdims=True), direction


def norm_and_direction_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """Return |x| and x / |x|, and their tangents."""
    (x,), (d_x,) = primals, tangents
    direction, d_direction = jax.jvp(unit_direction, primals, tangents)
    norm, d_norm = ((direction * vector).sum(-1, keepdims=True) for vector in (x, d_x))
    return (norm, direction), (d_norm, d_direction)


norm_and_direction.defjvp(norm_and_direction_jvp)


@partial(jax.jit)
def squash_capsules(x: Array) -> Array:
    """Return x n / (1 + n^2) for the length n of x.

    For n <= 1 this form gives tiny vectors their slopes. For n > 1 it is computed as
    direction / (1 + r^2) with r = 1 / n, so that no square overflows.
    """
    n, direction = norm_and_direction(x)
    short = n <= 1
    inner = jnp.where(short, n, 1)
    r = 1 / jnp.where(short, 1, n)  # zero if n is infinite
    long = direction / (1 + r * r)
    return jnp.where(short, x * (inner / (1 + inner * inner)), long)  # squash-R1, R2, R5


def check_inputs(x: Array, kind: str) -> None:
    """Raise ShapeError if the arguments of `squash` are invalid."""
    reference.check_inputs(x, kind)
    reject_rounding("squash", x)
