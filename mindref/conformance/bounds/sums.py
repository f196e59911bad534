"""The error of sums and of sums of products.

A sum of n terms costs n roundings (or the root of that) of the sum of magnitudes, which no order
of adding exceeds: this gauge is what makes cancellation visible.

What the terms bring is told apart. The last rounding of each term is its own, so these are
independent. What a term inherits may come from one source for all of them (every logit of a user
from the same capsule): even in the statistical mode that adds up in full, as six rounds of routing
would otherwise exceed the bound.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from mindref.conformance.bounds.arithmetic import Arithmetic, Numbers, Operand

Contract = Callable[[Any, Any], Any]


class Contraction(NamedTuple):
    """The origin of a product of matrices."""

    products: int  # how many were added up for each element


def contraction(
    a: Arithmetic, value: Numbers, factors: Sequence[Operand], contract: Contract, count: int
) -> Numbers:
    """Return the error of `contract(x, y)`, which adds up `count` products for each result."""
    x, y = factors
    gauge = contract(np.abs(x.value) + x.error, np.abs(y.value) + y.error)
    errors = [
        brought(a, x, y.value, contract),
        brought(a, y, x.value, lambda error, weights: contract(weights, error)),
        a.terms(count) * gauge,
    ]
    if np.any(x.error) and np.any(y.error):
        errors.append(a.factor * contract(x.error, y.error))
    return a.rounded(value, a.join(*errors)) + vanished(a, value, x, y, contract)


def begun(a: Arithmetic, inputs: Sequence[Any], operands: Sequence[Operand]) -> list[Numbers]:
    """Return what it costs to begin a sum of products with the number that is added to it.

    A bias as one more row of the weight, or products added to a logit one by one: the number takes
    part in as many roundings as there are products.
    """
    return [
        a.terms(x.origin.products) * np.abs(other.value)
        for x, other in zip(inputs, reversed(operands), strict=True)
        if isinstance(getattr(x, "origin", None), Contraction)
    ]


def vanished(a: Arithmetic, value: Numbers, x: Operand, y: Operand, contract: Contract) -> Numbers:
    """Return the floor where a sum is zero although not all its products are: they underflowed."""
    if np.all(value):
        return 0.0
    alive = [(z.value != 0).astype(np.float64) for z in (x, y)]
    return a.floor * ((value == 0) & (contract(*alive) > 0))


def total(a: Arithmetic, value: Numbers, x: Operand, add: Callable[[Any], Any], count: Any) -> Any:
    """Return the error of `add(x)`, which adds up `count` terms for each result."""
    gauge = add(np.abs(x.value) + x.error)
    return a.rounded(value, a.join(brought(a, x, 1.0, lambda e, _: add(e)), a.terms(count) * gauge))


def brought(a: Arithmetic, x: Operand, weights: Numbers, contract: Contract) -> Numbers:
    """Return the error that terms x weights bring into their sum: `contract(errors, weights)`."""
    if not np.any(x.error):
        return 0.0
    weights = np.abs(weights)
    if not a.statistical:
        return contract(x.error, weights)
    own, inherited = a.parts(x)
    return np.hypot(rooted(own, weights, contract), contract(inherited, weights))


def rooted(errors: Numbers, weights: Numbers, contract: Contract) -> Numbers:
    """Return the root of the sum of squares, scaled so that no square underflows."""
    peaks = [np.max(part, initial=0) for part in (errors, weights)]
    if 0 in peaks or not np.isfinite(peaks).all():
        return contract(errors, weights)
    squares = contract((errors / peaks[0]) ** 2, (weights / peaks[1]) ** 2)
    return peaks[0] * peaks[1] * np.sqrt(squares)


def doubtful(x: Operand, axis: int, factor: int) -> Any:
    """Return whether another element than the largest along the axis might be the largest."""
    best = np.max(x.value, axis=axis, keepdims=True)
    first = np.argmax(x.value, axis=axis, keepdims=True)
    own = np.take_along_axis(x.error, first, axis)
    rivals = best - x.value < factor * (x.error + own)
    np.put_along_axis(rivals, first, values=False, axis=axis)
    return rivals.any(axis=axis)


def contracted(subscripts: str, shapes: list[tuple[int, ...]]) -> int:
    """Return how many products `einsum` adds up for each result."""
    letters, result = subscripts.replace(" ", "").split("->")
    sizes = {
        letter: size
        for word, shape in zip(letters.split(","), shapes, strict=True)
        for letter, size in zip(word, shape, strict=True)
    }
    return int(np.prod([size for letter, size in sizes.items() if letter not in result]))
