"""The array with error bounds behaves like a float64 array, and loses no error."""

import numpy as np
import pytest

from mindref.conformance.bounds import (
    Bounded,
    Precision,
    allowances,
    bounded_input,
    dense_table,
    run_bounded,
    value_and_error,
)
from mindref.conformance.bounds.arithmetic import Arithmetic
from mindref.errors import ConfigError
from mindref.ops import label_attention, relu_layer, softmax, squash
from mindref.ops.embedding import RowGradient
from mindref.shapes import common_float_dtype

UNIT = 2.0**-24
SINGLE = Precision.of("float32")


def array(value, error=0.0, mode="worst"):
    return Bounded(np.array(value, dtype=float), error, Arithmetic(SINGLE, mode))


def test_a_bounded_array_behaves_like_a_float64_array():
    x = array([[1.0, 2, 3], [4, 5, 6]])
    assert (x.shape, x.ndim, x.size, len(x), x.dtype) == ((2, 3), 2, 6, 2, np.float64)
    assert common_float_dtype("test", x=x) == np.float64  # type: ignore[arg-type]
    assert x.T.shape == x.transpose(1, 0).shape == x.reshape(3, -1).shape
    assert np.shape(x) == (2, 3)
    assert np.finfo(x.dtype).max == np.finfo(float).max
    assert "error=" in repr(x)


def test_inputs_are_exact_unless_later_dtypes_are_coarser():
    x = np.array([0.1, 3.0])
    assert not bounded_input(x, SINGLE, "worst").error.any()
    narrow = bounded_input(x, Precision.of(("float64", "float32", "float32")), "worst")
    np.testing.assert_array_equal(narrow.error, UNIT * x)


def test_in_place_changes_modify_the_array():
    x = array([1.0, 2, 3])
    same = x
    x += array([1.0, 1, 1], 0.5)
    x[1:] -= 1.0
    assert same is x
    np.testing.assert_array_equal(x.value, [2, 2, 3])
    assert (x.error >= 0.5).all()
    x[0] = 7.0
    assert (x.value[0], x.error[0]) == (7, 0)


def test_slicing_and_moving_keep_errors_with_their_numbers():
    error = np.arange(6.0).reshape(2, 3)
    x = array(10 * error, error)
    rows, mask = np.array([1, 1, 0]), np.array([[True, False, True], [False, True, True]])
    for part in (
        x[1], x[rows], x[mask], x[:, None], x[..., 1:], x.T, x.reshape(-1), x.copy(), -x, np.abs(x),
        x.astype(float, copy=False), np.broadcast_to(x, (4, 2, 3)), np.take(x, 1, axis=0),
        np.concatenate([x, x], axis=1), np.where(mask, x, 0),
    ):  # fmt: skip
        np.testing.assert_array_equal(np.abs(part.value), 10 * part.error)


def test_zeros_and_representable_constants_are_exact():
    x = array([1.0, 2], 0.1)
    assert not np.zeros_like(x).error.any()
    assert np.zeros_like(x, shape=(3, 4)).shape == (3, 4)
    assert not (array([1.0, 2]) * 0).error.any()
    np.testing.assert_array_equal((array([3.0]) * 0.5).error, 1.5 * UNIT)
    np.testing.assert_allclose((array([3.0]) * 0.1).error, 2 * 0.3 * UNIT, rtol=UNIT)


def test_an_operation_without_an_error_rule_raises():
    x = array([1.0, 2])
    for unknown in (np.cumsum, np.linalg.norm, np.sin, np.multiply.reduce):
        with pytest.raises(TypeError):
            unknown(x)
    with pytest.raises(TypeError, match="becomes no float32"):
        x.astype(np.float32)
    with pytest.raises(ValueError, match="sequence"):
        np.zeros(2)[:] = x
    with pytest.raises(TypeError, match="two arrays"):
        np.einsum("i->", x)


def test_an_unknown_mode_raises():
    with pytest.raises(ConfigError, match="expected statistical or worst, got best"):
        bounded_input([1.0], SINGLE, "best")


def test_masked_numbers_and_their_errors_have_no_influence():
    logits = array([[1.0, np.nan, 2.0]], [[UNIT, np.inf, UNIT]])
    out, _ = softmax.forward(logits, np.array([[True, False, True]]), axis=1)
    assert np.isfinite(out.error).all()
    assert (out.value[0, 1], out.error[0, 1]) == (0, 0)


def test_infinities_and_nan_are_exact_and_never_make_an_error_nan():
    x = array([np.inf, -np.inf, np.nan, 1.0], UNIT)
    for result in (x + 1.0, x * 2.0, np.exp(x), x - x, x * 0, x / x):
        assert not np.isnan(result.error).any()
        assert not result.error[~np.isfinite(result.value)].any()


def test_the_bound_is_infinite_where_any_result_is_possible():
    zero = array([0.05, 1.0], [0.1, 0.1])
    assert np.isinf((1 / zero).error).tolist() == [True, False]
    assert np.isinf(np.log(zero).error).tolist() == [True, False]
    huge = run_bounded(lambda wrap: wrap([1e30]) * 1e30, SINGLE, "worst")
    assert np.isinf(value_and_error(huge)[1]).all()


def test_large_errors_make_bounds_wider_than_first_order():
    x, error = np.array([0.5, 1.0, 2.0]), np.array([0.4, 0.9, 1.5])
    for function, slope in ((np.exp, np.exp(x)), (np.log, 1 / x), (np.sqrt, 0.5 / np.sqrt(x))):
        bound = function(array(x, error)).error
        farthest = np.maximum(function(x + error) - function(x), function(x) - function(x - error))
        assert (bound >= np.maximum(farthest, slope * error)).all()


def test_squash_of_zero_is_exact():
    for kind in squash.KINDS:
        out, saved = squash.forward(array(np.zeros((2, 3))), kind=kind)
        assert not out.error.any()
        assert not squash.backward(array(np.zeros((2, 3))), saved).error.any()


def test_comparisons_are_masks_that_record_open_positions():
    x = array([-1.0, 1e-9, 1.0], 1e-6)
    mask = ~(x <= 0)
    assert mask.tolist() == [False, True, True]
    chosen = np.where(mask, array([5.0, 5, 5]), 0)
    np.testing.assert_array_equal(chosen.error, [0, 5, 0])
    assert (array([1.0, 2]) == array([1.0, 3])).tolist() == [True, False]


def test_a_relu_of_uncertain_sign_allows_both_gradients():
    x, weight, bias = np.array([[1.0, 1 / 3]]), np.array([[1.0], [-3.0]]), np.zeros(1)
    d_out = np.array([[2.0]])

    def answer(wrap):
        _, saved = relu_layer.forward(wrap(x), wrap(weight), wrap(bias), relu=True)
        return {"d_bias": relu_layer.backward(wrap(d_out), saved)[2]}

    value, allowed = allowances(answer, SINGLE, "worst").parts["d_bias"]
    assert value - allowed <= 0 <= 2 <= value + allowed


def test_a_tie_of_interests_counts_as_a_doubt():
    target, active = np.array([[0.1, 0.7]]), np.ones((1, 2), bool)

    def doubts(second):
        def answer(wrap):
            interests = wrap([[[0.3, 0.9], [0.3, second]]])
            out, _ = label_attention.forward(interests, wrap(target), active, power=np.inf)
            return {"out": out}

        return allowances(answer, SINGLE, "statistical").doubts

    assert doubts(0.9 + 1e-9) == 1
    assert doubts(0.8) == 0


def test_the_bound_is_twice_the_statistical_error_plus_that_of_the_reference():
    def answer(wrap):
        return {"out": wrap([3.0]) * wrap([5.0]), "mask": np.array([True])}

    for types, mode, expected in (
        ("float32", "statistical", (2 + 2.0**-29) * UNIT),
        ("float64", "statistical", 3 * 2.0**-53),
        ("float64", "worst", 2 * 2.0**-53),
    ):
        parts = allowances(answer, Precision.of(types), mode).parts
        np.testing.assert_array_equal(parts["out"].error, [15 * expected])
        assert parts["mask"].error == 0


def test_a_row_sparse_gradient_becomes_a_table_with_its_errors():
    table = dense_table(RowGradient(np.array([0, 2]), array([[1.0], [2.0]], [[0.1], [0.2]])), 4)
    np.testing.assert_array_equal(table.value[:, 0], [1, 0, 2, 0])
    np.testing.assert_array_equal(table.error[:, 0], [0.1, 0, 0.2, 0])


@pytest.mark.parametrize("shift", [1e-3, -1e-3, 0.5])
def test_results_do_not_depend_on_the_maximum_used_for_scaling(shift, monkeypatch):
    """This is why the largest counts as exact: another anchor gives the same results."""
    rng = np.random.default_rng(0)
    logits, x = rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
    mask = np.ones((3, 4), bool)
    largest = np.max

    def results():
        unit, saved = squash.forward(x, kind="squash")
        return [softmax.forward(logits, mask, axis=1)[0], unit, saved.across]

    before = results()
    monkeypatch.setattr(np, "max", lambda x, **options: largest(x, **options) * (1 + shift))
    for one, other in zip(before, results(), strict=True):
        np.testing.assert_allclose(other, one, rtol=UNIT**2 * 2**5)
