"""Sums from the last term to the first, each rounded to the type of its terms."""

from __future__ import annotations

import numpy as np

from mindref.shapes import Array


def total(x: Array, axis: int, *, keepdims: bool = False) -> Array:
    """Add up x along an axis, last term first; a sum of none is zero."""
    if x.shape[axis] == 0:
        return np.sum(x, axis=axis, keepdims=keepdims)
    running = np.cumsum(np.flip(x, axis), axis=axis)
    last = np.take(running, [-1], axis=axis)
    return last if keepdims else np.squeeze(last, axis=axis)


def contract(formula: str, a: Array, b: Array) -> Array:
    """Return np.einsum of two arrays; all products are computed before the sums."""
    inputs, result_axes = formula.split("->")
    summed = "".join(sorted(set(inputs) - set(result_axes) - {","}))
    left, right = inputs.split(",")
    terms = broadcast_axes(a, left, result_axes + summed) * broadcast_axes(
        b, right, result_axes + summed
    )
    for _ in summed:
        terms = total(terms, -1)
    return terms


def broadcast_axes(x: Array, letters: str, order: str) -> Array:
    """Return x with its axes in this order, and an axis of size one for each that it lacks."""
    present = [letter for letter in order if letter in letters]
    turned = x.transpose([letters.index(letter) for letter in present])
    sizes = dict(zip(present, turned.shape, strict=True))
    return turned.reshape([sizes.get(letter, 1) for letter in order])
