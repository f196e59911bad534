"""item_attention: values, gradients, padding, both kinds of weights, errors."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.conformance import strategies
from mindref.conformance.strategies import normal
from mindref.conformance.tolerances import same_math
from mindref.errors import ShapeError
from mindref.ops import item_attention
from mindref.shapes import Array, Bools
from tests import kinked_gradients, naive, spec_pages
from tests.assertions import assert_close, assert_example, raises_with

SAME = same_math(np.float64)
EXAMPLE = spec_pages.examples("item_attention")[0]
HIDDEN = [(), (5,), (6, 3)]
EVERY = pytest.mark.parametrize("normalise", [False, True], ids=["plain", "softmax"])


class Case(NamedTuple):
    """The arrays of one call."""

    history: Array  # (B, L, D)
    candidates: Array  # (B, M, D)
    mask: Bools  # (B, L)
    layers: tuple[tuple[Array, Array], ...]

    @property
    def arrays(self):
        """Everything that has a gradient, flat."""
        return [self.history, self.candidates, *(x for layer in self.layers for x in layer)]

    def moved(self, history, candidates, *flat):
        """The same case with other arrays."""
        layers = tuple(zip(flat[::2], flat[1::2], strict=True))
        return Case(history, candidates, self.mask, layers)


def made(rng, axes, mask=None, hidden=(5,), dtype=np.float64):
    b, l, m, d = axes  # noqa: E741  # the axis letters of specs/notation.md
    widths = (4 * d, *hidden, 1)
    layers = tuple(
        (normal(rng, i, o, dtype=dtype, scale=i**-0.5), normal(rng, o, dtype=dtype, scale=0.3))
        for i, o in pairwise(widths)
    )
    history, candidates = normal(rng, b, l, d, dtype=dtype), normal(rng, b, m, d, dtype=dtype)
    return Case(history, candidates, np.ones((b, l), bool) if mask is None else mask, layers)


@st.composite
def cases(draw):
    axes = draw(strategies.distinct_sizes(4))
    mask = draw(strategies.masks(axes[0], axes[1]))
    return made(draw(strategies.generators()), axes, mask, draw(st.sampled_from(HIDDEN)))


def forward(case, normalise=False):
    return item_attention.forward(*case, normalise=normalise)[0]


def backward(case, d_out, normalise=False):
    _, saved = item_attention.forward(*case, normalise=normalise)
    d_history, d_candidates, d_layers = item_attention.backward(d_out, saved)
    return [d_history, d_candidates, *(x for layer in d_layers for x in layer)]


@pytest.mark.rules(
    "item_attention-R1", "item_attention-R2", "item_attention-R3", "item_attention-R4",
    "item_attention-R9",
)  # fmt: skip
@pytest.mark.parametrize("expected", EXAMPLE["cases"], ids=["plain", "softmax"])
def test_the_worked_example_matches_the_page(expected):
    history, candidates, d_out = (np.array(EXAMPLE[k]) for k in ("history", "candidates", "d_out"))
    layers = tuple((np.array(w), np.array(b)) for w, b in EXAMPLE["layers"])
    case = Case(history, candidates, np.array(EXAMPLE["mask"]), layers)
    out, saved = item_attention.forward(*case, normalise=expected["normalise"])
    d_history, d_candidates, d_layers = item_attention.backward(d_out, saved)
    got = {"out": out, "weights": saved.weights, "d_history": d_history}
    got |= {"d_candidates": d_candidates, "d_first": d_layers[0][0], "d_last": d_layers[1][0]}
    assert_example(got, expected)


@pytest.mark.rules(
    "item_attention-R1", "item_attention-R2", "item_attention-R3", "item_attention-R4",
    "item_attention-R7", "item_attention-R8",
)  # fmt: skip
@EVERY
@given(case=cases())
def test_it_agrees_with_loops_over_numbers(case, normalise):
    out = forward(case, normalise)
    for b, real in enumerate(case.mask):
        for m, candidate in enumerate(case.candidates[b]):
            history = case.history[b][real].tolist()
            expected = naive.item_attention(history, candidate, case.layers, normalise)
            assert_close(out[b, m], expected, atol=SAME)


@pytest.mark.rules("item_attention-R9")
@EVERY
@given(case=cases(), rng=strategies.generators())
def test_the_gradient_agrees_with_central_differences(case, rng, normalise):
    """All arrays at once, and one at a time: no gradient hides behind a larger one."""
    for moving in ([*range(len(case.arrays))], *([i] for i in range(len(case.arrays)))):

        def function(*moved, moving=moving):
            changed = dict(zip(moving, moved, strict=True))
            arrays = [changed.get(i, x) for i, x in enumerate(case.arrays)]
            out, other = item_attention.forward(*case.moved(*arrays), normalise=normalise)
            passed = [other.passed, *(layer.passed for layer in other.layers)]
            return out, [side for side in passed if side is not None]

        def gradients(d_out, moving=moving):
            return [backward(case, d_out, normalise)[i] for i in moving]

        kinked_gradients.check(function, gradients, [case.arrays[i] for i in moving], rng)


@pytest.mark.rules("item_attention-R2")
def test_every_layer_but_the_last_has_a_relu():
    history, candidates = np.ones((1, 1, 1)), np.zeros((1, 1, 1))
    one = (np.array([[-1.0], [0.0], [0.0], [0.0]]), np.zeros(1))
    mask = np.ones((1, 1), bool)
    assert item_attention.forward(history, candidates, mask, [one])[0].item() == -1
    after = (np.array([[3.0]]), np.array([0.5]))
    assert item_attention.forward(history, candidates, mask, [one, after])[0].item() == 0.5


@pytest.mark.rules("item_attention-R4")
def test_plain_weights_grow_with_the_behaviours_and_those_of_a_softmax_do_not():
    case = made(np.random.default_rng(0), (1, 1, 2, 3))
    twice = case._replace(history=np.repeat(case.history, 2, axis=1), mask=np.ones((1, 2), bool))
    assert_close(forward(twice), 2 * forward(case), atol=0)
    assert_close(forward(twice, True), forward(case, True), atol=0)


@pytest.mark.rules("item_attention-R5")
@EVERY
@pytest.mark.parametrize("padding", [np.nan, np.inf, 1e300, 0.0], ids=str)
def test_padding_has_no_influence(padding, normalise):
    mask = np.array([[True, False, True, False], [False] * 4])
    case = made(np.random.default_rng(0), (2, 4, 3, 5), mask)
    history = np.where(mask[..., None], case.history, padding)
    d_out = np.random.default_rng(1).standard_normal((2, 3, 5))
    short = case._replace(history=case.history[:1, [0, 2]], candidates=case.candidates[:1])
    short = short._replace(mask=np.ones((1, 2), bool))
    other = case._replace(history=history)
    assert_close(forward(other, normalise)[:1], forward(short, normalise), atol=0)
    zeros = other._replace(history=np.where(mask[..., None], history, 0))
    for of_padding, of_zeros in zip(
        [forward(other, normalise), *backward(other, d_out, normalise)],
        [forward(zeros, normalise), *backward(zeros, d_out, normalise)],
        strict=True,
    ):
        assert of_padding.tobytes() == of_zeros.tobytes()
    d_history, *rest = backward(other, d_out, normalise)
    assert not d_history[~mask].any()
    d_short, _, *layers = backward(short, d_out[:1], normalise)
    assert_close(d_history[:1, [0, 2]], d_short, atol=0)
    for got, expected in zip(rest[1:], layers, strict=True):
        assert_close(got, expected, atol=SAME)


@pytest.mark.rules("item_attention-R5")
@EVERY
def test_a_nan_candidate_does_not_affect_padding(normalise):
    case = made(np.random.default_rng(0), (1, 3, 2, 4), np.array([[True, False, True]]))
    broken = case._replace(candidates=np.where(np.arange(2)[:, None] == 0, np.nan, case.candidates))
    d_history = backward(broken, np.ones((1, 2, 4)), normalise)[0]
    assert np.isnan(d_history[0, [0, 2]]).all()
    assert not d_history[0, 1].any()


@pytest.mark.rules("item_attention-R6")
@EVERY
def test_a_user_without_behaviours_has_a_zero_vector_and_no_gradient(normalise):
    for length in (0, 3):
        mask = np.zeros((2, length), bool)
        case = made(np.random.default_rng(0), (2, length, 3, 4), mask)
        assert not forward(case, normalise).any()
        for gradient in backward(case, np.ones((2, 3, 4)), normalise):
            assert not gradient.any()


@pytest.mark.rules("item_attention-R10")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask": np.ones((2, 4), bool)}, "mask has shape (2, 4) but history (2, 3, 5) needs"),
        ({"mask": np.ones((2, 3))}, "mask: expected a mask of dtype bool, got float64"),
        ({"candidates": np.ones((2, 4, 6))}, "candidates has shape (2, 4, 6) but history"),
        ({"candidates": np.ones((2, 4, 5), "f4")}, "expected one dtype, float32 or float64"),
        ({"layers": ()}, "layers: expected a last one with 1 output, got no layer"),
        ({"layers": ((np.ones((20, 2)), np.ones(2)),)}, "layers: expected a last one with 1"),
        ({"layers": ((np.ones((15, 1)), np.ones(1)),)}, "layers.0.weight: expected 20 inputs, got"),
        ({"layers": ((np.ones((20, 1)), np.ones(2)),)}, "layers.0.bias has shape (2,) but"),
    ],
)  # fmt: skip
def test_invalid_inputs_raise(change, message):
    case = made(np.random.default_rng(0), (2, 3, 4, 5))._replace(**change)
    with raises_with(ShapeError, f"item_attention: {message}"):
        forward(case)
