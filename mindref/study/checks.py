"""What must hold of a step, as data: the page looks at the same with its own arithmetic.

sums     the sum over a letter equals a number, in the rows that a mask names
zero     zero wherever a mask is false           between  every number within a range
finite   every number is finite                  shorter  lengths along the last axis
any      a mask is true somewhere                near     not further than this from another
most     the maximum among the active            ordered  descending, the lower place first
recomputed  what the recipes make of the inputs
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mindref.study.evaluate import length

TOLERANCE = 1e-12
"""Of float64 arithmetic in another order: sums of up to some hundred terms of the size of one."""

Values = Mapping[str, Any]


def split(place: str) -> tuple[str, str]:
    """Return name and letters of `w[2]:ij`."""
    name, _, letters = place.rpartition(":")
    return (name, letters) if name else (letters, "")


def sums(check: Mapping[str, Any], values: Values) -> float:
    """Return the largest distance of a sum from what it must be."""
    name, letters = split(check["of"])
    total = np.asarray(values[name]).sum(axis=letters.index(check["over"]))
    off = np.abs(total - check["equals"])
    if check.get("where"):
        off = off[values[split(check["where"])[0]]]
    return float(off.max(initial=0))


def zero(check: Mapping[str, Any], values: Values) -> float:
    """Return the largest number where the mask is false."""
    (name, letters), (mask, at) = split(check["of"]), split(check["where"])
    keep = np.asarray(values[mask]).reshape(
        [np.shape(values[mask])[at.index(x)] if x in at else 1 for x in letters]
    )
    return float(np.abs(np.where(keep, 0, values[name])).max(initial=0))


def between(check: Mapping[str, Any], values: Values) -> float:
    """Return how far the worst number lies outside; NaN is outside."""
    x, low, high = np.asarray(values[check["of"]]), float(check["low"]), float(check["high"])
    outside = np.where(x < low, low - x, np.where(x > high, x - high, 0))
    return float(np.where(np.isnan(x), np.inf, outside).max(initial=0))


def shorter(check: Mapping[str, Any], values: Values) -> float:
    """Return by how much the longest is not shorter than the limit."""
    lengths = length(values[split(check["of"])[0]])
    return float(np.max(lengths - float(check["limit"]), initial=0)) if lengths.size else 0.0


def near(check: Mapping[str, Any], values: Values) -> float:
    """Return by how much the furthest is too far."""
    far = np.abs(values[check["of"]] - values[check["to"]]) - float(check["limit"])
    return float(np.max(far, initial=0))


def most(check: Mapping[str, Any], values: Values) -> float:
    """Return by how much an active interest beats the maximum."""
    best, among = values[check["of"]], values[check["among"]]
    return float(
        np.max(np.where(values[check["where"]], among, -np.inf) - best[:, None], initial=0)
    )


def ordered(check: Mapping[str, Any], values: Values) -> float:
    """Return by how much a place in the list, or one left out, is better than one before it."""
    order, by = values[check["of"]], values[check["by"]]
    left = np.setdiff1d(np.arange(len(by)), order)
    inside = np.max(np.diff(by[order]), initial=0)
    return float(max(inside, np.max(by[left], initial=-np.inf) - by[order[-1]], 0))


CHECKS: dict[str, Callable[[Mapping[str, Any], Values], float]] = {
    "sums": sums,
    "zero": zero,
    "between": between,
    "finite": lambda check, values: float(np.count_nonzero(~np.isfinite(values[check["of"]]))),
    "any": lambda check, values: float(not np.any(values[check["of"]])),
    "shorter": shorter,
    "near": near,
    "most": most,
    "ordered": ordered,
}


def apart(found: Any, recorded: Any) -> float:
    """Return the largest difference of two arrays, relative where they are beyond one."""
    found, recorded = np.asarray(found, np.float64), np.asarray(recorded, np.float64)
    if found.shape != recorded.shape:
        return float("inf")
    same = (found == recorded) | (np.isnan(found) & np.isnan(recorded))
    with np.errstate(invalid="ignore"):
        off = np.abs(found - recorded) / np.maximum(1, np.abs(recorded))
    return float(np.where(same, 0, np.where(np.isnan(off), np.inf, off)).max(initial=0))
