"""Spec: specs/softmax.md. Unmasked positions in one flat list, with the slice of each."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.shapes import Array, Bools, Ints


def forward(logits: Array, mask: Bools, *, axis: int) -> tuple[Array, Any]:
    moved = np.moveaxis(logits, axis, -1)
    positions = np.nonzero(np.moveaxis(np.broadcast_to(mask, logits.shape), axis, -1))
    slices = numbered(positions, moved.shape)
    count = int(np.prod(moved.shape[:-1]))
    weights = segment_weights(moved[positions], slices, count)
    out = spread(weights, positions, moved.shape, axis)
    return out, (weights, positions, slices, count, moved.shape, axis)


def backward(d_out: Array, saved: Any) -> Array:
    weights, positions, slices, count, shape, axis = saved
    d_flat = np.moveaxis(d_out, axis, -1)[positions]
    inner = np.zeros(count, weights.dtype)
    np.add.at(inner, slices, weights * d_flat)
    return spread(weights * (d_flat - inner[slices]), positions, shape, axis)  # softmax-R5


def segment_weights(logits: Array, slices: Ints, count: int) -> Array:
    """Return the weights of a flat list of logits, normalised within each of `count` slices."""
    top = np.full(count, -np.inf, logits.dtype)
    np.maximum.at(top, slices, logits)
    # infinity less infinity is the NaN of numerics-R13; a gap beyond the floats is weight 0
    with np.errstate(invalid="ignore", over="ignore"):
        raised = np.exp(logits - np.where(top == -np.inf, 0, top)[slices])
    sums = np.zeros(count, logits.dtype)
    np.add.at(sums, slices, raised)
    return (raised / np.where(sums == 0, 1, sums)[slices]).astype(logits.dtype)  # softmax-R4


def numbered(positions: tuple[Ints, ...], shape: tuple[int, ...]) -> Ints:
    """Return the number of the slice of each place, all axes but the last taken as one."""
    if len(shape) == 1:
        return np.zeros(len(positions[0]), np.int64)
    return np.ravel_multi_index(positions[:-1], shape[:-1]).astype(np.int64)


def spread(values: Array, positions: tuple[Ints, ...], shape: tuple[int, ...], axis: int) -> Array:
    """Put a flat list back into its positions, zero elsewhere."""
    out = np.zeros(shape, values.dtype)
    out[positions] = values
    return np.ascontiguousarray(np.moveaxis(out, -1, axis))
