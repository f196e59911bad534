"""Sums from the first term to the last, each rounded to the type of its terms."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from mindref.shapes import Array


def total(terms: Iterable[Any], empty: Any) -> Any:
    """Add up numbers, or vectors; `empty` is the sum of none."""
    found = None
    for term in terms:  # from the first term, not from zero: 0 + -0 would lose a sign
        found = term if found is None else found + term
    return empty if found is None else found


def dot(a: Array, b: Array) -> Any:
    """Return the inner product of two vectors, one product after another."""
    return total((x * y for x, y in zip(a, b, strict=True)), a.dtype.type(0))


def weighted(weights: Iterable[Any], vectors: Iterable[Array], like: Array) -> Array:
    """Return the sum of weights times vectors, zeros like `like` where there are none."""
    terms = (w * v for w, v in zip(weights, vectors, strict=True))
    return total(terms, np.zeros_like(like))
