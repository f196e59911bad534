"""Each correct implementation honours the rules on extremes, NaN and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mindref import ops
from mindref.errors import ShapeError
from tests.conformance.correct import ALL, extremes
from tests.conformance.correct.answers import answer, assert_same, load
from tests.conformance.correct.extremes import ROWS, call

EACH = pytest.mark.parametrize("name", [kind.__name__ for kind in ALL])
ONES = np.ones((2, 2))
IDS = np.arange(2)
SOUND = (ROWS, ROWS, ROWS, IDS, IDS, np.zeros(2), np.zeros(2))
BEHAVIOURS = (np.ones((1, 2, 2)), [[True, True]], ONES, np.ones((1, 2, 2)), [[True, True]])
REFUSED = {
    "softmax": [call(ROWS, [[True]], axis=2), call(ROWS, [True] * 4, axis=0)],
    "squash": [call(ROWS, kind="tanh"), call(ROWS.astype(int))],
    "embedding": [call(ONES, [[2]], [[1.0]]), call(ONES, [[-1]], [[1.0]]), call(ONES, ONES, ONES)],
    "relu_layer": [call(ROWS, ROWS, np.zeros(3), relu=True)],
    "label_attention": [
        call(ROWS[None], ROWS[:1], [[False, False]], power=1.0),
        call(ROWS[None], ROWS[:1], [[True, True]], power=-1.0),
    ],
    "sampled_softmax": [
        call(*SOUND, temperature=0.0),
        call(*SOUND[:-1], [0.0, np.inf]),
        call(*(x[:0] if i in (0, 1, 3, 5) else x for i, x in enumerate(SOUND))),
    ],
    "routing": [
        call(*BEHAVIOURS, iterations=0, gradient="all"),
        call(*BEHAVIOURS, iterations=1, gradient="none"),
        call(*BEHAVIOURS, iterations=1, gradient="all", axis="users"),
        call(*BEHAVIOURS, iterations=1, gradient="all", kind="tanh"),
    ],
}


@EACH
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("what", extremes.CALLS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # infinities on purpose
def test_at_the_edge_of_the_floats_it_is_the_reference(name: str, dtype: str, what: str) -> None:
    stem, given = extremes.CALLS[what]
    given = given.to(dtype)
    expected = answer(ops, stem, given)
    for found, wanted in zip(answer(load(name).ops, stem, given), expected, strict=True):
        assert_same(found, wanted, dtype)


@EACH
@pytest.mark.parametrize(
    ("stem", "given"), [(stem, given) for stem, calls in REFUSED.items() for given in calls]
)
def test_calls_that_the_pages_reject_raise(name: str, stem: str, given: Any) -> None:
    with pytest.raises(ShapeError, match=f"^({stem}|squash): |^{stem} "):
        getattr(load(name).ops, stem).forward(*given.arrays, **given.numbers)


@EACH
def test_a_hit_that_is_nan_makes_the_loss_nan(name: str) -> None:
    loss, _ = load(name).ops.sampled_softmax.forward(*extremes.LOST_HIT.arrays)
    assert np.isnan(loss)


@EACH
def test_a_plain_look_up_keeps_the_bits(name: str) -> None:
    table = np.array([[-0.0, 1.0], [0.1, -0.0]], np.float32)
    out, _ = load(name).ops.embedding.forward(table, np.array([[1], [0]]), np.ones((2, 1), "f4"))
    assert out.tobytes() == table[::-1].tobytes()


@EACH
def test_masked_positions_get_a_gradient_of_exactly_zero(name: str) -> None:
    softmax = load(name).ops.softmax
    mask = np.array([[True, False, True], [False, False, False]])
    _, saved = softmax.forward(ROWS, mask, axis=1)
    assert np.all(softmax.backward(ROWS, saved)[~mask] == 0)
