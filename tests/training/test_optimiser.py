"""Adam: against a loop over numbers, lazy rows, the schedule, errors that change nothing."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.conformance import strategies
from mindref.conformance.strategies import normal
from mindref.conformance.tolerances import rounding, same_math
from mindref.errors import ShapeError
from mindref.ops import embedding
from mindref.ops.embedding import RowGradient
from mindref.training import optimiser
from tests import spec_pages
from tests.assertions import assert_close, assert_example, raises_with

EXAMPLE, LATE = spec_pages.examples("optimiser")
SETTINGS = {"learning_rate": 0.1, "beta1": 0.8, "beta2": 0.95, "epsilon": 0.01}


def rows(indices, values):
    return RowGradient(np.array(indices, np.int64), np.array(values, dtype=np.float64))


def adam(gradients, start, rate, b1, b2):
    """One number through Algorithm 1, as the paper writes it; None: a step that leaves it out."""
    x, m, v = start, 0.0, 0.0
    for t, g in enumerate(gradients, 1):
        if g is None:
            continue
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        corrected = m / (1 - b1**t), v / (1 - b2**t)
        x -= rate * corrected[0] / (math.sqrt(corrected[1]) + SETTINGS["epsilon"])
    return x


@pytest.mark.rules(
    "optimiser-R1", "optimiser-R2", "optimiser-R3", "optimiser-R4", "optimiser-R5", "optimiser-R6"
)
def test_the_worked_example_matches_the_page():
    params = {"items": np.array(EXAMPLE["table"])}
    state = optimiser.init(params)
    settings = {k: EXAMPLE[k] for k in SETTINGS}
    for step in EXAMPLE["steps"]:
        gradient = rows(step["rows"], step["values"])
        state = optimiser.update(params, {"items": gradient}, state, **settings)
        got = {"table": params["items"], "first": state.first["items"]}
        assert_example({**got, "second": state.second["items"]}, step)


@pytest.mark.rules("optimiser-R1", "optimiser-R2", "optimiser-R3", "optimiser-R4", "optimiser-R22")
@given(rng=strategies.generators(), steps=st.integers(1, 6), dense_rate=st.sampled_from([1, 0.3]))
def test_it_agrees_with_a_loop_over_numbers(rng, steps, dense_rate):
    start = normal(rng, 4, 3)
    params = {"items": start.copy(), "bias": start[0].copy()}
    state = optimiser.init(params)
    history = np.full((steps, 4, 3), np.nan)
    for t in range(steps):
        named = np.flatnonzero(rng.random(4) < 0.6)
        history[t, named] = rng.standard_normal((len(named), 3))
        sparse = RowGradient(named, history[t, named])
        dense = normal(np.random.default_rng(t), 3)
        gradients = {"items": sparse, "bias": dense}
        state = optimiser.update(params, gradients, state, dense_rate=dense_rate, **SETTINGS)
    assert state.step == steps
    numbers = SETTINGS["learning_rate"], SETTINGS["beta1"], SETTINGS["beta2"]
    for row, column in np.ndindex(4, 3):
        gradients = [None if math.isnan(g) else g for g in history[:, row, column].tolist()]
        assert_close(params["items"][row, column], adam(gradients, start[row, column], *numbers))
    bias = [normal(np.random.default_rng(t), 3).tolist() for t in range(steps)]
    rate, *betas = numbers
    expected_bias = [
        adam([g[i] for g in bias], start[0, i], rate * dense_rate, *betas) for i in range(3)
    ]
    assert_close(params["bias"], expected_bias, "dense", atol=0)


@pytest.mark.rules("optimiser-R7")
@given(rng=strategies.generators())
def test_naming_every_row_is_the_dense_update(rng):
    start = normal(rng, 5, 3)
    sparse, dense = {"items": start.copy()}, {"items": start.copy()}
    states = [optimiser.init(sparse), optimiser.init(dense)]
    for _ in range(4):
        g = normal(rng, 5, 3)
        named = {"items": RowGradient(np.arange(5), g)}
        states[0] = optimiser.update(sparse, named, states[0], **SETTINGS)
        states[1] = optimiser.update(dense, {"items": g}, states[1], **SETTINGS)
    assert sparse["items"].tobytes() == dense["items"].tobytes()
    assert not np.isclose(sparse["items"], start).any(), "nothing moved"
    for a, b in zip(states[0][1:], states[1][1:], strict=True):
        assert a["items"].tobytes() == b["items"].tobytes()


def warmed(dtype=np.float64):
    """Return a table of four rows and a state whose moments are all set."""
    params = {"items": normal(np.random.default_rng(0), 4, 3, dtype=dtype).copy()}
    g = normal(np.random.default_rng(1), 4, 3, dtype=dtype)
    return params, optimiser.update(params, {"items": g}, optimiser.init(params), **SETTINGS)


@pytest.mark.rules("optimiser-R21")
def test_dense_adam_uses_the_gradient_zero_for_rows_that_are_left_out():
    rng = np.random.default_rng(0)
    start = normal(rng, 5, 3)
    sparse, full = {"a": start.copy()}, {"a": start.copy()}
    moments, expected = optimiser.init(sparse), optimiser.init(full)
    for named in ([0, 3], [3], [], [1, 2, 4]):
        gradient = rows(named, normal(rng, len(named), 3))
        whole = {"a": gradient.dense(5)}
        moments = optimiser.update(sparse, {"a": gradient}, moments, dense=True, **SETTINGS)
        expected = optimiser.update(full, whole, expected, **SETTINGS)
        np.testing.assert_equal((sparse, moments), (full, expected))


def late_row(step=0):
    """Return a table of one zero and its state after `step` steps that did not touch the row."""
    params = {"items": np.zeros((1, 1))}
    return params, optimiser.init(params)._replace(step=step)


def touch(params, state, gradient=LATE["gradient"]):
    """Return the state after a touch of the row, and how many learning rates the row moved."""
    before = params["items"][0, 0]
    row = {"items": rows([0], [[gradient]])}
    state = optimiser.update(params, row, state, learning_rate=0.01)
    return state, (before - params["items"][0, 0]) / 0.01


@pytest.mark.rules("optimiser-R2", "optimiser-R3", "optimiser-R5")
def test_a_late_first_touch_moves_a_row_as_the_page_says():
    moves = [[t, touch(*late_row(t - 1))[1]] for t, _ in LATE["first_touch"]]
    assert_example({"first_touch": moves}, LATE)
    below = [touch(*late_row(t - 1))[1] for t in range(2, 107)]
    assert [move < 1 for move in below] == [True] * 104 + [False], "less than 1 for t from 2 to 105"


@pytest.mark.rules("optimiser-R2", "optimiser-R3")
def test_a_row_that_is_touched_late_moves_further_at_its_next_touches():
    params, state = late_row(10_000)
    moves = []
    for _ in range(25):
        state, moved = touch(params, state)
        moves.append(moved)
    found = {"constant": moves[:12], "moves_in_25_touches": sum(moves)}
    assert_example(found, LATE)
    assert np.argmax(moves) == 11, "touch 12 moves furthest"


@pytest.mark.rules("optimiser-R5", "optimiser-R6")
def test_a_silent_row_moves_by_its_old_moments_at_a_zero_gradient():
    params, state = late_row()
    for _ in range(10):
        state, _ = touch(params, state)
    still = params["items"].copy()
    for _ in range(5000):
        nothing = {"items": rows([], np.zeros((0, 1)))}
        state = optimiser.update(params, nothing, state, learning_rate=0.01)
    assert params["items"].tobytes() == still.tobytes()
    assert_example({"silent": touch(params, state, 0.0)[1]}, LATE)


@pytest.mark.rules("optimiser-R5", "embedding-R6")
def test_a_row_of_weight_zero_is_not_touched():
    params, state = warmed()
    arrays = params["items"], *(moments["items"] for moments in state[1:])
    before = [x.copy() for x in arrays]
    weights = np.array([[1.0, 0.0], [0.5, 0.0]])
    _, saved = embedding.forward(params["items"], np.array([[0, 1], [2, 1]]), weights)
    gradient = {"items": embedding.backward(np.ones((2, 3)), saved)}
    optimiser.update(params, gradient, state, **SETTINGS)
    for old, new in zip(before, arrays, strict=True):
        assert (old != new).any(axis=1).tolist() == [True, False, True, False]


@pytest.mark.rules("optimiser-R8")
def test_moments_start_at_zero_in_the_shape_and_type_of_the_parameter():
    params = {"items": np.ones((3, 2), np.float32), "bias": np.ones(4)}
    state = optimiser.init(params)
    zeros = {"items": np.zeros((3, 2), np.float32), "bias": np.zeros(4)}
    np.testing.assert_equal(state, (0, zeros, zeros))
    for moments in (state.first, state.second):
        assert {name: x.dtype for name, x in moments.items()} == {"items": "f4", "bias": "f8"}
    assert not np.shares_memory(state.first["items"], state.second["items"])


@pytest.mark.rules("optimiser-R13")
def test_float32_is_updated_in_float32():
    params, state = warmed(np.float32)
    exact = {"items": params["items"].astype(np.float64)}
    wide = optimiser.State(
        state.step, *({"items": m["items"].astype(np.float64)} for m in state[1:])
    )
    g = normal(np.random.default_rng(2), 4, 3, dtype=np.float32)
    m = np.float32(0.8) * state.first["items"] + np.float32(1 - 0.8) * g
    v = np.float32(0.95) * state.second["items"] + np.float32(1 - 0.95) * (g * g)
    root = math.sqrt(1 - 0.95**2)
    rate, floor = np.float32(0.1 * 0.3 * root / (1 - 0.8**2)), np.float32(0.01 * root)
    expected = params["items"] - rate * m / (np.sqrt(v) + floor)
    settings = {**SETTINGS, "dense_rate": 0.3}
    numbers = {name: np.float64(number) for name, number in settings.items()}
    optimiser.update(params, {"items": g}, state, **numbers)
    assert params["items"].dtype == np.float32
    assert params["items"].tobytes() == expected.tobytes()
    optimiser.update(exact, {"items": g.astype(np.float64)}, wide, **settings)
    tolerance = same_math(np.float32)
    np.testing.assert_allclose(params["items"], exact["items"], rtol=tolerance, err_msg="float64")


@pytest.mark.rules("optimiser-R9")
def test_the_rate_falls_in_a_line_or_stays():
    rates = [optimiser.learning_rate(0.4, "linear", step, 4) for step in range(4)]
    assert rates == pytest.approx([0.4, 0.3, 0.2, 0.1], rel=rounding(np.float64))
    assert {optimiser.learning_rate(0.4, "none", step, 4) for step in range(4)} == {0.4}


@pytest.mark.rules("optimiser-R10", "optimiser-R11", "optimiser-R12")
@pytest.mark.parametrize(
    ("gradients", "message"),
    [
        ({"item": np.ones((4, 3))}, "optimiser: expected a gradient of items, got item"),
        ({"items": np.ones(3)}, "gradient of items: expected shape (4, 3), got (3,)"),
        ({"items": rows([1, 2], np.ones((1, 3)))}, "expected shape (2, 3), got (1, 3)"),
        ({"items": rows([1, 1], np.ones((2, 3)))}, "rows of items: expected each once, ascending"),
        ({"items": rows([2, 1], np.ones((2, 3)))}, "rows of items: expected each once, ascending"),
        (
            {"items": RowGradient(np.uint8([2, 1]), np.ones((2, 3)))},
            "rows of items: expected each once, ascending",
        ),
    ],
)
def test_a_gradient_that_does_not_fit_is_named_and_changes_nothing(gradients, message):
    params, state = warmed()
    arrays = [params["items"], state.first["items"], state.second["items"]]
    before = [x.tobytes() for x in arrays]
    with raises_with(ShapeError, message):
        optimiser.update(params, {"items": np.ones((4, 3)), **gradients}, state, **SETTINGS)
    assert [x.tobytes() for x in arrays] == before
