"""The kinds of invariants and their residuals.

sums     sums over a letter equal a number, in the rows of a mask
zero     0 where a mask is false                 between  every number in a range
finite   every number is finite                  shorter  norms along the last axis below a limit
any      a mask is true somewhere                near     two arrays differ by at most a limit
most     the maximum over active interests       ordered  descending order of scores
recomputed  equal to the evaluated recipes
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mindref.study.recipe_arrays import vector_lengths

TOLERANCE = 1e-12
"""For float64 sums of a few hundred terms of size one in another order."""

Values = Mapping[str, Any]


def split_reference(reference: str) -> tuple[str, str]:
    """Return tensor name and axis letters of a reference such as `w[2]:ik`."""
    name, _, letters = reference.rpartition(":")
    return (name, letters) if name else (letters, "")


def sum_residual(check: Mapping[str, Any], values: Values) -> float:
    """Return the largest deviation of a sum from the required value."""
    name, letters = split_reference(check["of"])
    total = np.asarray(values[name]).sum(axis=letters.index(check["over"]))
    off = np.abs(total - check["equals"])
    if check.get("where"):
        off = off[values[split_reference(check["where"])[0]]]
    return float(off.max(initial=0))


def zero_residual(check: Mapping[str, Any], values: Values) -> float:
    """Return the largest magnitude where the mask is false."""
    (name, letters), (mask, mask_letters) = (
        split_reference(check["of"]),
        split_reference(check["where"]),
    )
    keep = np.asarray(values[mask]).reshape(
        [np.shape(values[mask])[mask_letters.index(x)] if x in mask_letters else 1 for x in letters]
    )
    return float(np.abs(np.where(keep, 0, values[name])).max(initial=0))


def range_residual(check: Mapping[str, Any], values: Values) -> float:
    """Return the largest distance to the range; infinity for a NaN."""
    x, low, high = np.asarray(values[check["of"]]), float(check["low"]), float(check["high"])
    outside = np.where(x < low, low - x, np.where(x > high, x - high, 0))
    return float(np.where(np.isnan(x), np.inf, outside).max(initial=0))


def length_residual(check: Mapping[str, Any], values: Values) -> float:
    """Return by how much the largest norm exceeds the limit."""
    lengths = vector_lengths(values[split_reference(check["of"])[0]])
    return float(np.max(lengths - float(check["limit"]), initial=0)) if lengths.size else 0.0


def distance_residual(check: Mapping[str, Any], values: Values) -> float:
    """Return by how much the largest difference exceeds the limit."""
    far = np.abs(values[check["of"]] - values[check["to"]]) - float(check["limit"])
    return float(np.max(far, initial=0))


def maximum_residual(check: Mapping[str, Any], values: Values) -> float:
    """Return by how much the score of an active interest exceeds the maximum."""
    best, among = values[check["of"]], values[check["among"]]
    return float(
        np.max(np.where(values[check["where"]], among, -np.inf) - best[:, None], initial=0)
    )


def order_residual(check: Mapping[str, Any], values: Values) -> float:
    """Return by how much an item exceeds an item that is ranked above it."""
    order, by = values[check["of"]], values[check["by"]]
    left = np.setdiff1d(np.arange(len(by)), order)
    inside = np.max(np.diff(by[order]), initial=0)
    return float(max(inside, np.max(by[left], initial=-np.inf) - by[order[-1]], 0))


RESIDUALS: dict[str, Callable[[Mapping[str, Any], Values], float]] = {
    "sums": sum_residual,
    "zero": zero_residual,
    "between": range_residual,
    "finite": lambda check, values: float(np.count_nonzero(~np.isfinite(values[check["of"]]))),
    "any": lambda check, values: float(not np.any(values[check["of"]])),
    "shorter": length_residual,
    "near": distance_residual,
    "most": maximum_residual,
    "ordered": order_residual,
}


def relative_difference(computed: Any, recorded: Any) -> float:
    """Return the largest difference of two arrays, relative for magnitudes above one."""
    computed, recorded = np.asarray(computed, np.float64), np.asarray(recorded, np.float64)
    if computed.shape != recorded.shape:
        return float("inf")
    same = (computed == recorded) | (np.isnan(computed) & np.isnan(recorded))
    with np.errstate(invalid="ignore"):
        off = np.abs(computed - recorded) / np.maximum(1, np.abs(recorded))
    return float(np.where(same, 0, np.where(np.isnan(off), np.inf, off)).max(initial=0))
