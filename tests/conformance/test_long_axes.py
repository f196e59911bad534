"""A result that is wrong on a long axis only: the failure names the smallest size that is wrong."""

import numpy as np
import pytest

from mindref.conformance.bounds import Precision
from mindref.conformance.checks.sizes import EMPTY, LONG
from mindref.conformance.runner.check import all_checks
from mindref.conformance.runner.check_runner import ExampleBudget, run_check
from mindref.ops import OPS
from tests.conformance.runner.implementations import implementation, right

BUDGET = ExampleBudget(2, 0, shrink=True)
PRECISIONS = pytest.mark.parametrize(
    "precision", [Precision.of("float64"), Precision.of("float32")], ids=str
)


def named(name):
    return next(check for check in all_checks() if check.name == f"sizes/{name}")


def squash_with(square):
    """Return squash with another square of the length: a function of x (..., D)."""

    def forward(x, *, kind):
        length = np.sqrt(square(x))
        return (x * length / (1 + length * length)).astype(x.dtype)

    return forward


def without_tail(x):
    """Add squares in blocks of 64 components, and leave out an incomplete block after the first."""
    width = x.shape[-1]
    used = width if width <= 64 else width - width % 64
    return np.sum(np.square(x[..., :used]), axis=-1, keepdims=True)


def result_of(forward, precision, name="long_axis_matches_the_reference[squash-D]"):
    return run_check(
        named(name)._replace(gradient=False), implementation(forward), precision, BUDGET
    )


@PRECISIONS
@pytest.mark.rules("conformance-R19")
def test_a_failure_names_the_smallest_size_that_is_wrong(precision):
    result = result_of(squash_with(without_tail), precision)
    assert result.status == "failed"
    assert result.message.endswith("right at D = 64, wrong at D = 65")
    (call,) = result.evidence.calls
    assert call.arrays["x"].shape[-1] == 65


@pytest.mark.rules("conformance-R19")
def test_a_result_that_is_wrong_on_short_axes_too_names_no_size():
    result = result_of(lambda x, *, kind: 2 * right(x), Precision.of("float64"))
    assert result.status == "failed"
    assert "right at" not in result.message


@PRECISIONS
def test_a_right_result_passes(precision):
    assert result_of(right, precision).status == "passed"


def test_an_error_for_an_empty_axis_is_a_failure():
    def forward(x, *, kind):
        return right(x.reshape(-1, x.shape[-1])).reshape(x.shape)

    result = result_of(forward, Precision.of("float64"), "empty_axes_match_the_reference[squash]")
    assert (result.status, result.message[:6]) == ("failed", "raised")


def test_every_operator_has_long_axes_and_empty_axes():
    assert {long.stem for long in LONG} == {empty.stem for empty in EMPTY} == set(OPS)
    for long in LONG:
        primes = [n for n in range(2, long.size) if long.size % n == 0]
        assert not primes, f"{long.axis} of {long.stem} is not a prime number"
