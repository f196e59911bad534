"""Calls of every operator: structure from Hypothesis, numbers from a seeded generator.

Numbers are multiples of 1/8, exact in float32, and products of two are exact, too. Scores of
attention are therefore the same in every order of summation: ties and zeros are real, and rounding
cannot change them. Masked values are garbage, NaN included.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from mindref.conformance.strategies import actives, distinct_sizes, generators, masks, read_only
from mindref.shapes import Array, Bools

GARBAGE = (np.nan, np.inf, -np.inf, 1e30, 0.0)


class Drawn(NamedTuple):
    arrays: tuple[Any, ...]
    numbers: dict[str, Any]

    def reach(self) -> float:
        """Return how far an error of one unit in the weights of attention carries, at least one."""
        if "power" not in self.numbers or not 0 < self.numbers["power"] < np.inf:
            return 1.0
        interests, target, active = self.arrays
        scores = np.abs(np.einsum("bkd,bd->bk", interests, target)[active])
        slopes = self.numbers["power"] * scores[scores > 0] ** (self.numbers["power"] - 1)
        largest = np.max(np.abs(interests[active]))
        return float(
            max(1, np.max(slopes, initial=1) * largest * max(largest, np.max(np.abs(target))))
        )

    def to(self, dtype: str) -> Drawn:
        """Return the call with its float arrays in this type, read-only."""
        floats = (x.astype(dtype) if x.dtype.kind == "f" else x.copy() for x in self.arrays)
        return Drawn(tuple(read_only(x) for x in floats), self.numbers)


def eighths(rng: np.random.Generator, *shape: int) -> Array:
    return np.round(8 * rng.standard_normal(shape)) / 8


def littered(rng: np.random.Generator, x: Array, kept: Bools) -> Array:
    """Return x with garbage wherever `kept` is false."""
    return np.where(kept, x, rng.choice(GARBAGE, x.shape))


@st.composite
def embedding(draw: st.DrawFn) -> Drawn:
    v, m, f, d = draw(distinct_sizes(4))
    m, f = draw(st.sampled_from([(m, f), (m, f), (0, f), (m, 0)]))
    rng = draw(generators())
    rows = rng.integers(0, v, (m, f))
    weights = np.abs(eighths(rng, m, f)) * rng.integers(0, 2, (m, f))  # repeats and weights of zero
    return Drawn((eighths(rng, v, d), rows, weights), {})


@st.composite
def softmax(draw: st.DrawFn) -> Drawn:
    shape = draw(distinct_sizes(3))[: draw(st.integers(1, 3))]
    rng = draw(generators())
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    fits = tuple(draw(st.sampled_from((1, size))) for size in shape)[draw(st.integers(0, 1)) :]
    mask = rng.integers(0, 4, fits) > 0
    logits = draw(st.sampled_from((1, 30, 2.0**60))) * eighths(rng, *shape)
    return Drawn((littered(rng, logits, np.broadcast_to(mask, shape)), mask), {"axis": axis})


@st.composite
def squash(draw: st.DrawFn) -> Drawn:
    shape = draw(distinct_sizes(3))[draw(st.integers(0, 2)) :]
    rng = draw(generators())
    x = draw(st.sampled_from((0.01, 1, 30, 0))) * eighths(rng, *shape)
    return Drawn((x,), {"kind": draw(st.sampled_from(("squash", "squash", "unit", "none")))})


@st.composite
def routing(draw: st.DrawFn) -> Drawn:
    b, l, k, d = draw(distinct_sizes(4))  # noqa: E741  # the axis letters of specs/notation.md
    rng = draw(generators())
    mask, active = draw(masks(b, l)), draw(actives(b, k))
    history = eighths(rng, b, l, d)
    kind = draw(st.sampled_from(("squash", "squash", "unit", "none")))
    if kind == "unit":  # has no limit at zero: there a sum that cancels has any direction
        history = rng.standard_normal((b, l, d))
    if draw(st.booleans()):
        history[:] = history[:1, :1]  # one behaviour again and again
    shape = draw(st.sampled_from([(d, d), (l, k, d, d)]))
    allowed = mask[:, :, None] & active[:, None, :]
    arrays: tuple[Any, ...] = (
        littered(rng, history, mask[:, :, None]),
        mask,
        rng.standard_normal(shape) / d,
        littered(rng, eighths(rng, b, l, k), allowed),
        active,
    )
    if draw(st.booleans()):
        arrays += (littered(rng, eighths(rng, b, l, k), allowed),)
    numbers = {
        "iterations": draw(st.integers(1, 4)),
        "gradient": draw(st.sampled_from(("all", "last"))),
        "axis": draw(st.sampled_from(("interests", "behaviours"))),
        "kind": kind,
    }
    return Drawn(arrays, numbers)


@st.composite
def relu_layer(draw: st.DrawFn) -> Drawn:
    m, i, o = draw(distinct_sizes(3))
    m = draw(st.sampled_from((m, m, 0)))
    rng = draw(generators())
    arrays = (eighths(rng, m, i), eighths(rng, i, o), eighths(rng, o))
    return Drawn(arrays, {"relu": draw(st.booleans())})


@st.composite
def label_attention(draw: st.DrawFn) -> Drawn:
    b, k, d = draw(distinct_sizes(3))
    rng = draw(generators())
    active = rng.permuted(draw(actives(b, k)), axis=1)
    interests = littered(rng, eighths(rng, b, k, d), active[:, :, None])
    target = draw(st.sampled_from((0, 1, 1, 1))) * eighths(rng, b, d)
    power = draw(st.sampled_from((0.0, 0.5, 1.0, 2.0, 3.0, math.inf)))
    return Drawn((interests, target, active), {"power": power})


@st.composite
def sampled_softmax(draw: st.DrawFn) -> Drawn:
    b, s, d = draw(distinct_sizes(3))
    s = draw(st.sampled_from((s, s, s, 0)))
    rng = draw(generators())
    vectors, logs = eighths(rng, 4, d), eighths(rng, 4)  # four items: hits and repeats are common
    target_ids, negative_ids = rng.integers(0, 4, b), rng.integers(0, 4, s)
    arrays = (
        draw(st.sampled_from((1, 8, 0))) * eighths(rng, b, d),
        *(vectors[target_ids], vectors[negative_ids], target_ids, negative_ids),
        *(logs[target_ids], logs[negative_ids]),
    )
    numbers = {
        "temperature": draw(st.sampled_from((1.0, 0.25, 4.0))),
        "normalise": draw(st.booleans()),
    }
    return Drawn(arrays, numbers)


CALLS = {
    "embedding": embedding(),
    "softmax": softmax(),
    "squash": squash(),
    "routing": routing(),
    "relu_layer": relu_layer(),
    "label_attention": label_attention(),
    "sampled_softmax": sampled_softmax(),
}
