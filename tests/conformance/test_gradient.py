"""The gradient checker: correct gradients pass, nearly correct gradients fail."""

import numpy as np
import pytest
from hypothesis import given

from mindref.conformance import gradient, tolerances
from mindref.conformance.strategies import distinct_sizes, generators, normal
from mindref.ops import softmax
from tests import spec_pages

MASK = np.ones((3, 4), bool)


def weights(logits):
    return softmax.forward(logits, MASK, axis=1)[0]


def right(logits):
    _, saved = softmax.forward(logits, MASK, axis=1)
    return lambda d_out: [softmax.backward(d_out, saved)]


@pytest.mark.rules("numerics-R11")
@given(shape=distinct_sizes(3), rng=generators())
def test_a_correct_gradient_passes(shape, rng):
    x, y = normal(rng, *shape[:2]), normal(rng, *shape[1:])
    gradient.check_gradient(lambda x, y: np.tanh(x @ y), lambda d: product(d, x, y), [x, y], rng)


def product(d, x, y):
    d_sum = d * (1 - np.tanh(x @ y) ** 2)
    return d_sum @ y.T, x.T @ d_sum


@pytest.mark.rules("numerics-R11")
@pytest.mark.parametrize("factor", [1.001, 0.999, 1.0005, -1.0, 0.0, 2.0])
@given(rng=generators())
def test_a_scaled_gradient_behind_a_softmax_fails(factor, rng):
    """With a cotangent of ones this gradient is zero, and any factor would pass."""
    logits = normal(rng, 3, 4)
    good = right(logits)
    with pytest.raises(AssertionError, match="against central difference"):
        gradient.check_gradient(weights, lambda d: [factor * g for g in good(d)], [logits], rng)


@pytest.mark.rules("numerics-R11")
@pytest.mark.parametrize("which", [0, 1])
@given(rng=generators())
def test_one_wrong_gradient_among_correct_ones_fails(which, rng):
    x, y = normal(rng, 2, 3), normal(rng, 3, 5)

    def wrong(d):
        parts = list(product(d, x, y))
        parts[which] = parts[which] * 1.001
        return parts

    with pytest.raises(AssertionError, match="parts by input"):
        gradient.check_gradient(lambda x, y: np.tanh(x @ y), wrong, [x, y], rng)


@pytest.mark.rules("numerics-R12")
@given(generators())
def test_the_cotangent_is_random_and_never_all_ones(rng):
    logits, seen = normal(rng, 3, 4), []
    good = right(logits)

    def watching(d_out):
        seen.append(d_out)
        return good(d_out)

    gradient.check_gradient(weights, watching, [logits], rng)
    gradient.check_gradient(weights, watching, [logits], rng)
    assert len(np.unique(seen)) == 2 * logits.size


@pytest.mark.rules("notation-R4")
@pytest.mark.parametrize("shape", [(1, 4), (3, 1), (4,), (12,)])
def test_a_gradient_of_another_shape_fails(shape):
    """Most of these shapes would broadcast."""
    logits = np.zeros((3, 4))
    with pytest.raises(AssertionError, match=r"gradient of shape .* for an input of \(3, 4\)"):
        gradient.check_gradient(
            weights, lambda d: [np.zeros(shape)], [logits], np.random.default_rng(0)
        )


@pytest.mark.rules("numerics-R11")
def test_a_missing_gradient_fails():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 3)), rng.standard_normal((3, 2))
    with pytest.raises(ValueError, match="zip"):
        gradient.check_gradient(np.matmul, lambda d: [d @ y.T], [x, y], rng)


@pytest.mark.rules("numerics-R9")
def test_the_table_of_the_page_is_the_module():
    table = spec_pages.text("numerics").split("| name | value |")[1].split("\n\n")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:3]] for line in table.splitlines()[2:]]
    assert [(name, text, float(text)) for name, text in rows] == [
        ("GRADIENT", "1e-7", tolerances.GRADIENT),
        ("SAME_MATH float64", "1e-12", tolerances.same_math(np.float64)),
        ("SAME_MATH float32", "2e-5", tolerances.same_math("float32")),
        ("ROUNDING", "4", tolerances.ROUNDING),
        ("VANISHING", "1e-14", tolerances.VANISHING),
        ("WORKED_EXAMPLE", "5e-7", tolerances.WORKED_EXAMPLE),
        ("STANDARD_ERRORS", "4", tolerances.STANDARD_ERRORS),
    ]


@pytest.mark.rules("numerics-R11")
def test_the_worked_example_holds():
    (example,) = spec_pages.examples("numerics")
    central = [(np.exp(h) - np.exp(-h)) / (2 * h) for h in example["steps"]]
    atol = tolerances.WORKED_EXAMPLE
    np.testing.assert_allclose(central, example["central"], rtol=0, atol=atol)
    extrapolated = gradient.romberg(*central)
    np.testing.assert_allclose(extrapolated, example["extrapolated"], rtol=0, atol=atol)


@pytest.mark.rules("numerics-R11")
def test_a_large_curvature_gets_a_shorter_step():
    """The first difference of this function is off by 7e-6."""
    rng, x = np.random.default_rng(0), np.array([0.005])
    slope = 120 / np.cosh(120 * x) ** 2
    gradient.check_gradient(lambda y: np.tanh(120 * y), lambda d: [d * slope], [x], rng)
    with pytest.raises(AssertionError, match="relative error"):
        gradient.check_gradient(
            lambda y: np.tanh(120 * y), lambda d: [1.00001 * d * slope], [x], rng
        )
