"""Spec: specs/squash.md. One capsule after another."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.shapes import Array
from tests.conformance.correct import checks
from tests.conformance.correct.loops.sums import dot


class Polar(NamedTuple):
    """A capsule's direction (D,), its new length, and the slopes across and along."""

    unit: Array
    gain: Any
    across: Any
    along: Any


def forward(x: Array, *, kind: str = "squash") -> tuple[Array, Any]:
    checks.squash(x, kind)
    if kind == "none":
        return x.copy(), None
    out = np.zeros_like(x)
    found = {}
    for place in np.ndindex(x.shape[:-1]):
        found[place] = capsule(x[place], kind)
        out[place] = found[place].unit * found[place].gain
    return out, found


def backward(d_out: Array, saved: Any) -> Array:
    if saved is None:
        return d_out.copy()
    d_x = np.zeros_like(d_out)
    for place, found in saved.items():
        d_x[place] = slope(d_out[place], found)
    return d_x


def capsule(x: Array, kind: str) -> Polar:
    """Return one capsule (D,), squashed or of length one."""
    one, nil = x.dtype.type(1), x.dtype.type(0)
    if not np.isfinite(x).all():
        lost = x.dtype.type(np.nan)
        return Polar(np.full_like(x, np.nan), lost, lost, lost)
    largest = max((abs(value) for value in x), default=nil)
    if largest == 0:  # squash-R3
        return Polar(np.zeros_like(x), nil, nil, nil)
    scaled = x / largest  # squash-R4: nothing tiny or huge is squared
    length = np.sqrt(dot(scaled, scaled))
    with np.errstate(over="ignore"):  # n, or 1 / n, may be beyond the floats
        n = largest * length
        inverse = min(one / n, np.finfo(x.dtype).max)
    if kind == "unit":  # squash-R6
        return Polar(scaled / length, one, inverse, nil)
    return Polar(scaled / length, *lengths(n, inverse))


def lengths(n: Any, inverse: Any) -> tuple[Any, Any, Any]:
    """Return n^2 / (1 + n^2), n / (1 + n^2) and 2n / (1 + n^2)^2, in r = min(n, 1 / n)."""
    one = type(n)(1)
    r = n if n <= 1 else inverse
    below = one + r * r
    if n <= 1:
        return r * r / below, r / below, (r + r) / (below * below)
    return one / below, r / below, (r + r) * r * r / (below * below)


def slope(g: Array, found: Polar) -> Array:
    """Return the parts of g across and along the direction, each times its slope."""
    along = dot(found.unit, g) * found.unit
    return found.across * (g - along) + found.along * along
