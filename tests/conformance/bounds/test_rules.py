"""Each error rule against the real effect of moved operands.

The worst case is the result at the extreme corners, the statistical error that of random signs. The
errors of operands are far larger than a rounding here, so that only the rule counts. Each rule is
also damaged, and the same test must detect the damage.
"""

import itertools

import numpy as np
import pytest

from mindref.conformance.bounds import (
    Bounded,
    Precision,
    elementwise,
    functions,
    run_bounded,
    sums,
    value_and_error,
)
from mindref.conformance.bounds.arithmetic import FACTOR, Arithmetic
from mindref.conformance.tolerances import STANDARD_ERRORS
from mindref.ops import softmax

SMALL = 1e-6
"""A relative error that is far above rounding and far below one."""
SLACK = 1 + 100 * SMALL
"""What second order may add."""
DRAWS = 400
"""How often independent errors are drawn."""


def carrying(a, value, share=SMALL):
    """Return numbers with an error that is a fraction of their size."""
    return Bounded(value, share * np.abs(value), a)


def positive(rng, *shape):
    return rng.uniform(0.5, 2, shape)


def either(rng, *shape):
    return rng.standard_normal(shape)


ELEMENTWISE = {
    "add": (np.add, [either, either]),
    "subtract": (np.subtract, [either, either]),
    "multiply": (np.multiply, [either, either]),
    "divide": (np.true_divide, [either, positive]),
    "exp": (np.exp, [either]),
    "expm1": (np.expm1, [either]),
    "log": (np.log, [positive]),
    "log1p": (np.log1p, [positive]),
    "sqrt": (np.sqrt, [positive]),
    "square": (np.square, [either]),
    "square of itself": (lambda x: x * x, [either]),
    "twice itself": (lambda x: x + x, [either]),
    "power 0.5": (lambda x: x**0.5, [positive]),
    "power 3": (lambda x: x**3.0, [positive]),
    "power -2": (lambda x: x**-2.0, [positive]),
    "logaddexp": (lambda x: np.logaddexp(0, x), [either]),
    "maximum": (lambda x: np.maximum(x, 0), [either]),
    "minimum": (np.minimum, [either, either]),
    "absolute": (np.abs, [either]),
    "negative": (np.negative, [either]),
}
"""Functions of numbers, and how their operands are drawn."""

CONTRACTIONS = {
    "matmul": (np.matmul, [(3, 4), (4, 2)]),
    "stacked matmul": (np.matmul, [(2, 3, 4), (2, 4, 2)]),
    "einsum": (lambda x, y: np.einsum("bk,bkd->bd", x, y), [(3, 4), (3, 4, 2)]),
    "sum": (lambda x: np.sum(x, axis=1), [(3, 5)]),
    "mean": (lambda x: x.mean(), [(6,)]),
    "bincount": (lambda x: np.bincount([0, 2, 0, 1, 3, 0], x, 4), [(6,)]),
    "reduceat": (lambda x: np.add.reduceat(x, [0, 2, 3], axis=0), [(6, 2)]),
}
"""Functions that add up, and the shapes of their operands."""


def check_corners(function, values):
    a = Arithmetic(Precision.of("float64"), "worst")
    bound = function(*(carrying(a, x) for x in values)).error
    plain = function(*values)
    signs = itertools.product((-1, 1), repeat=len(values))
    moved = [
        function(*(x + s * SMALL * np.abs(x) for x, s in zip(values, sign, strict=True)))
        for sign in signs
    ]
    farthest = np.max([np.abs(m - plain) for m in moved], axis=0)
    assert (farthest <= bound * SLACK).all(), "narrower than what happens"
    assert (bound <= farthest * SLACK + SMALL**2).all(), "wider than what happens"


def check_spread(function, values, rng):
    a = Arithmetic(Precision.of("float64"), "statistical")
    a.unit = SMALL  # so that all of the error is an element's own
    bound = function(*(carrying(a, x) for x in values)).error
    plain = function(*values)
    moved = [
        function(*(x + SMALL * np.abs(x) * rng.choice([-1, 1], x.shape) for x in values)) - plain
        for _ in range(DRAWS)
    ]
    spread = np.sqrt(np.mean(np.square(moved), axis=0))
    chance = 1 + STANDARD_ERRORS / np.sqrt(2 * DRAWS)
    assert (spread <= bound * chance).all(), "narrower than what happens"


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_the_worst_case_of_an_element_is_its_extreme_corner(name):
    function, draws = ELEMENTWISE[name]
    rng = np.random.default_rng(0)
    check_corners(function, [draw(rng, 50) for draw in draws])


def positive_terms(name):
    """Return a function that adds up, and operands whose errors can all have one sign."""
    function, shapes = CONTRACTIONS[name]
    rng = np.random.default_rng(1)
    return function, [positive(rng, *shape) for shape in shapes]


def signed_terms(name):
    """Return a function that adds up, operands of both signs, and the generator of their errors."""
    function, shapes = CONTRACTIONS[name]
    rng = np.random.default_rng(2)
    return function, [either(rng, *shape) for shape in shapes], rng


@pytest.mark.parametrize("name", CONTRACTIONS)
def test_the_worst_case_of_a_sum_has_all_errors_of_one_sign(name):
    check_corners(*positive_terms(name))


@pytest.mark.parametrize("name", CONTRACTIONS)
def test_the_statistical_error_of_a_sum_covers_independent_terms(name):
    check_spread(*signed_terms(name))


def coherent_over_bound(name):
    """Return how far a common error of all terms exceeds the statistical error."""
    function, shapes = CONTRACTIONS[name]
    rng = np.random.default_rng(3)
    values = [positive(rng, *shape) for shape in shapes]
    a = Arithmetic(Precision.of("float64"), "statistical")
    first = carrying(a, values[0])  # far above a rounding, so inherited
    bound = function(first, *values[1:]).error
    moved = function(values[0] * (1 + SMALL), *values[1:])
    return float(np.max(np.abs(moved - function(*values)) / bound))


@pytest.mark.parametrize("name", CONTRACTIONS)
def test_inherited_errors_may_have_one_sign(name):
    assert coherent_over_bound(name) <= SLACK


def accumulated(mode, terms):
    """Return the error of a sum of exact ones in units of float32, divided by the sum."""
    a = Arithmetic(Precision.of(("float64", "float32", "float64")), mode)
    a.unit = 0
    total = np.sum(Bounded(np.ones(terms), 0.0, a))
    return float(total.error) / (terms * 2.0**-24)


@pytest.mark.parametrize(("mode", "expected"), [("statistical", 10), ("worst", 100)])
def test_a_sum_of_n_terms_costs_n_or_root_n_roundings(mode, expected):
    assert accumulated(mode, 100) == expected


def softmax_error(mode):
    """Return the bound of each saturated weight, and the real effect of moved logits.

    Forward, the logits are wrong by SMALL; backward, the cotangent is.
    """
    rng = np.random.default_rng(4)
    logits, d = 5 * rng.standard_normal((20, 4)), rng.standard_normal((20, 4))
    mask = np.ones(logits.shape, bool)
    a = Arithmetic(Precision.of("float64"), mode)
    out, _ = softmax.forward(Bounded(logits, SMALL, a), mask, axis=1)
    plain, exact = softmax.forward(logits, mask, axis=1)
    weights = softmax.Saved(Bounded(plain, 0.0, a), 1)
    back = softmax.backward(Bounded(d, SMALL, a), weights)
    signs = [SMALL * np.array(s) for s in itertools.product((-1, 1), repeat=4)]
    moved = [softmax.forward(logits + s, mask, axis=1)[0] - plain for s in signs]
    turned = [softmax.backward(d + s, exact) - softmax.backward(d, exact) for s in signs]
    happens = [np.max(np.abs(x), axis=0) for x in (moved, turned)]
    return np.array([out.error, back.error]), np.array(happens)


def test_a_saturated_weight_hardly_depends_on_its_logit():
    """To first order, the bound of softmax is w (1 - w), as the true effect, and not w."""
    bound, happens = softmax_error("worst")
    rounding = 2.0**-48
    assert (happens <= bound * SLACK + rounding).all()
    assert (bound <= 2 * happens * SLACK + rounding).all()


def no_propagation(a, value, *operands):
    """Return a result that inherits no error of its operands: a damaged rule."""
    return a.rounded(value, 0.0)


def first_operand_only(a, value, x, y):
    """Return a product whose second factor counts as exact: a damaged rule."""
    return a.rounded(value, np.abs(y.value) * x.error)


PROPAGATED = ["add", "multiply", "divide", "exp", "log", "sqrt", "logaddexp"]


@pytest.mark.parametrize(
    ("name", "rule"),
    [(name, no_propagation) for name in PROPAGATED]
    + [(name, first_operand_only) for name in ("multiply", "divide")],
)
def test_a_rule_that_drops_an_operand_is_detected(name, rule, monkeypatch):
    monkeypatch.setitem(elementwise.RULES, getattr(np, name), rule)
    function, draws = ELEMENTWISE[name]
    with pytest.raises(AssertionError, match="narrower"):
        check_corners(function, [draw(np.random.default_rng(0), 50) for draw in draws])


@pytest.mark.parametrize("name", CONTRACTIONS)
def test_a_sum_rule_without_inherited_errors_is_detected(name, monkeypatch):
    monkeypatch.setattr(sums, "inherited_error", lambda a, x, weights, contract: 0.0)
    with pytest.raises(AssertionError, match="narrower"):
        check_corners(*positive_terms(name))
    with pytest.raises(AssertionError, match="narrower"):
        check_spread(*signed_terms(name))


def test_inherited_errors_treated_as_independent_are_detected(monkeypatch):
    monkeypatch.setattr(Arithmetic, "parts", lambda self, x: (x.error, 0 * x.error))
    assert all(coherent_over_bound(name) > SLACK for name in CONTRACTIONS)


def test_a_sum_rule_with_one_rounding_is_detected(monkeypatch):
    monkeypatch.setattr(Arithmetic, "terms", lambda self, count: self.accumulate)
    assert accumulated("statistical", 100) < 10
    assert accumulated("worst", 100) < 100


def test_a_share_treated_as_a_quotient_is_detected(monkeypatch):
    monkeypatch.setattr(functions, "Sum", lambda terms, axis: None)
    bound, happens = softmax_error("worst")
    assert (bound > 100 * happens).any(axis=(1, 2)).all()


def test_a_share_rule_without_the_other_terms_is_detected(monkeypatch):
    monkeypatch.setattr(sums, "joint_error_of_others", lambda a, x, axis: 0.0)
    bound, happens = softmax_error("worst")
    assert (happens > bound * SLACK + 2.0**-48).any(axis=(1, 2)).all()


@pytest.mark.parametrize("mode", FACTOR)
def test_a_sum_of_products_may_start_with_the_added_number(mode):
    """A bias much larger than the products takes part in the rounding of each of them."""
    rng, count = np.random.default_rng(0), 8
    x, weight, bias = (
        y.astype(np.float32)
        for y in (rng.random((64, count)), rng.random((count, 1)), 64 + rng.random(1))
    )
    begun = np.broadcast_to(bias, (64, 1))
    for i in range(count):
        begun = begun + x[:, i : i + 1] * weight[i]
    out = run_bounded(
        lambda wrap: wrap(x) @ wrap(weight) + wrap(bias), Precision.of("float32"), mode
    )
    value, error = value_and_error(out)
    used = np.abs(begun - value) / (FACTOR[mode] * error)
    assert used.max() <= 1
    assert used.max() > 0.2  # without a part for the bias it would be beyond
