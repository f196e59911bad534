"""Squash: a capsule to one of the same direction with a length in [0, 1). Spec: specs/squash.md."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from mindref.errors import ShapeError, say
from mindref_jax.checks import one_of, same_float

KINDS = ("squash", "unit", "none")


def squash(x: Any, *, kind: str) -> Any:
    """Map capsules (..., D) to capsules of another length: squash, unit (one) or none (as it is).

    Raises ShapeError for an unknown kind, for a type that is neither float32 nor float64, and for
    a number without an axis.
    """
    check(x, kind)
    if kind == "none":  # squash-R7
        return jnp.asarray(x)
    return direction(x) if kind == "unit" else shortened(x)  # squash-R6


def direction(x: Any) -> Any:
    """Return x / |x|, zero for zero."""
    # without a barrier XLA makes (x x) (s s) of (x s) (x s) where it knows x, and s s overflows
    y = jax.lax.optimization_barrier(x * jax.lax.stop_gradient(scale(x)))
    square = (y * y).sum(-1, keepdims=True)
    zero = square == 0
    # the choice comes last, as XLA makes two roundings of a division by a bare root
    root = jnp.where(zero, 1, jnp.sqrt(jnp.where(zero, 1, square)))
    return jnp.where(zero, 0, y / root)  # squash-R3


def scale(x: Any) -> Any:
    """Return for each capsule a power of two that brings its largest component near one.

    It is put together from bits. A division by the component would not do: XLA multiplies by the
    inverse, which may be no normal float. NaN where a component is no finite number.
    """
    largest = jnp.abs(x).max(-1, keepdims=True, initial=0)  # squash-R4
    about = jnp.finfo(x.dtype)
    bits = jax.lax.bitcast_convert_type(largest, f"int{about.bits}")
    exponent = bits >> about.nmant  # biased; its least and its most stand for no normal float
    opposite = jnp.clip(2 * (about.maxexp - 1) - exponent, 1)
    found = jax.lax.bitcast_convert_type(opposite << about.nmant, x.dtype)
    return jnp.where(jnp.isfinite(largest), found, jnp.nan)


@partial(jax.custom_jvp, nondiff_argnums=())
def length(x: Any) -> Any:
    """Return |x| (..., 1). Its derivative is the direction, and needs no square of tiny numbers."""
    return (direction(x) * x).sum(-1, keepdims=True)


def length_moves(primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
    """Return |x| and how it moves with x."""
    (x,), (d_x,) = primals, tangents
    return length(x), (direction(x) * d_x).sum(-1, keepdims=True)


length.defjvp(length_moves)


def shortened(x: Any) -> Any:
    """Return x n / (1 + n^2) for the length n of x.

    As it stands up to length one, so that tiny capsules have their slopes; beyond it as the
    direction over 1 + r^2 with r = 1 / n, so that no square overflows.
    """
    n = length(x)
    short = n <= 1
    inner = jnp.where(short, n, 1)
    r = 1 / jnp.where(short, 1, n)  # zero where n is beyond the largest float
    long = direction(x) / (1 + r * r)
    return jnp.where(short, x * (inner / (1 + inner * inner)), long)  # squash-R1, R2, R5


def check(x: Any, kind: str) -> None:
    """Raise ShapeError for anything that `squash` cannot take."""
    same_float("squash", x=x)
    one_of("squash: kind", KINDS, kind)  # squash-R8
    if x.ndim == 0:
        raise ShapeError(say("squash: x", "at least one axis", "a number"))  # squash-R9
