"""Spec: specs/softmax.md. Unmasked places in one flat list, with the slice that each belongs to."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.shapes import Array, Bools, Ints


def forward(logits: Array, mask: Bools, *, axis: int) -> tuple[Array, Any]:
    moved = np.moveaxis(logits, axis, -1)
    places = np.nonzero(np.moveaxis(np.broadcast_to(mask, logits.shape), axis, -1))
    slices = numbered(places, moved.shape)
    count = int(np.prod(moved.shape[:-1]))
    weights = segment_weights(moved[places], slices, count)
    out = spread(weights, places, moved.shape, axis)
    return out, (weights, places, slices, count, moved.shape, axis)


def backward(d_out: Array, saved: Any) -> Array:
    weights, places, slices, count, shape, axis = saved
    given = np.moveaxis(d_out, axis, -1)[places]
    inner = np.zeros(count, weights.dtype)
    np.add.at(inner, slices, weights * given)
    return spread(weights * (given - inner[slices]), places, shape, axis)  # softmax-R5


def segment_weights(logits: Array, slices: Ints, count: int) -> Array:
    """Return the weights of a flat list of logits, normalised within each of `count` slices."""
    top = np.full(count, -np.inf, logits.dtype)
    np.maximum.at(top, slices, logits)
    # infinity less infinity is the NaN of numerics-R13; a gap beyond the floats is weight 0
    with np.errstate(invalid="ignore", over="ignore"):
        raised = np.exp(logits - np.where(top == -np.inf, 0, top)[slices])
    whole = np.zeros(count, logits.dtype)
    np.add.at(whole, slices, raised)
    return (raised / np.where(whole == 0, 1, whole)[slices]).astype(logits.dtype)  # softmax-R4


def numbered(places: tuple[Ints, ...], shape: tuple[int, ...]) -> Ints:
    """Return the number of the slice of each place, all axes but the last taken as one."""
    if len(shape) == 1:
        return np.zeros(len(places[0]), np.int64)
    return np.ravel_multi_index(places[:-1], shape[:-1]).astype(np.int64)


def spread(values: Array, places: tuple[Ints, ...], shape: tuple[int, ...], axis: int) -> Array:
    """Put a flat list back into its places, zero elsewhere."""
    whole = np.zeros(shape, values.dtype)
    whole[places] = values
    return np.ascontiguousarray(np.moveaxis(whole, -1, axis))
