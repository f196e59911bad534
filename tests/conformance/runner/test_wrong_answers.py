"""A property that wrong answers have is blocked by agreement; a broken property is a failure."""

import numpy as np
import pytest

from mindref.conformance.bounds import Precision
from mindref.conformance.mutants.loader import backend_of, suite_mutants
from mindref.conformance.runner import context as context_module
from mindref.conformance.runner.call import BackendImplementation
from mindref.conformance.runner.check import all_checks
from mindref.conformance.runner.check_runner import ExampleBudget, run_check
from mindref.conformance.runner.reference import ExpectedArray
from mindref.conformance.runner.wrong_answers import equal_up_to_rounding
from tests.conformance.runner.implementations import (
    implementation,
    property_check,
    right,
    unregistered_check,
)

DOUBLE, SINGLE = Precision.of("float64"), Precision.of("float32")
EPS = np.finfo(np.float64).eps

KEPT = [  # mutant, a property that its wrong answers have up to rounding
    ("count-of-the-padded-length", "model/profile_features_keep_their_order"),
    ("inactive-interests-revived", "model/profile_features_keep_their_order"),
    ("routing-weighted-mean", "routing/equal_matrices_equal_one_shared_matrix"),
    ("routing-last-reaches-the-logits", "routing/permuting_interests_permutes_the_capsules"),
]
BROKEN = [  # mutant, a property that its answers do not have
    ("count-of-the-padded-length", "model/padding_leaves_the_interests"),
    (
        "routing-inactive-zeroed-after-each-softmax",
        "routing/equal_logits_divide_a_behaviour_evenly",
    ),
]


def property_result(mutant, name):
    wrong = next(m for m in suite_mutants() if m.name == mutant)
    check = next(c for c in all_checks() if c.name == name)
    budget = ExampleBudget(5, shrink=False)
    return run_check(check, BackendImplementation(backend_of(wrong)), DOUBLE, budget)


@pytest.mark.rules("conformance-R20")
@pytest.mark.parametrize(("mutant", "name"), KEPT)
def test_a_property_of_wrong_answers_is_blocked_by_agreement(mutant, name, monkeypatch):
    result = property_result(mutant, name)
    assert (result.status, result.blocked_by) == ("blocked", "agreement"), result.message
    monkeypatch.setattr(context_module, "equal_up_to_rounding", lambda *_: False)
    assert property_result(mutant, name).status == "failed", "the bounds of the reference differ"


@pytest.mark.rules("conformance-R20")
@pytest.mark.parametrize(("mutant", "name"), BROKEN)
def test_a_property_that_wrong_answers_break_is_a_failure(mutant, name):
    assert property_result(mutant, name).status == "failed"


def squash_result(forward, check=None, precision=DOUBLE):
    budget = ExampleBudget(10, shrink=False)
    return run_check(check or property_check(), implementation(forward), precision, budget)


def large(x, kind):
    """Return wrong answers: too large, and rounded in another way for negative numbers."""
    return 1e6 * right(x) * (1 + 4 * EPS * (x > 0))


def exactly_negated(context, call):
    """A negated vector must give exactly the negated result."""
    opposite = context.run(call.change(x=-call.arrays["x"]))
    context.assert_equal(context.run(call), opposite, through={"out": np.negative})


EXACT = unregistered_check(exactly_negated, agreement=False, name="squash/exact")


@pytest.mark.rules("conformance-R20")
@pytest.mark.parametrize("check", [property_check(), EXACT], ids=["same", "equal"])
def test_the_bound_is_taken_at_the_compared_answers(check):
    assert squash_result(large, check).blocked_by == "agreement"
    broken = squash_result(lambda x, kind: large(x, kind) * (1 + 1e-3 * (x > 0)), check)
    assert (broken.status, broken.blocked_by) == ("failed", "")


@pytest.mark.rules("conformance-R20")
def test_right_answers_that_are_not_exactly_equal_are_a_failure():
    result = squash_result(lambda x, kind: right(x) * (1 + EPS * (x > 0)), EXACT)
    assert (result.status, result.blocked_by) == ("failed", "")
    assert "exactly" in result.message


@pytest.mark.rules("conformance-R20")
def test_a_later_comparison_of_the_check_is_still_made():
    def negation_and_permutation(context, call):
        """A negated and a permuted vector must give the negated and the permuted result."""
        x = call.arrays["x"]
        first = context.run(call)
        opposite = context.run(call.change(x=-x))
        context.assert_same(first, opposite, through={"out": np.negative})
        turned = context.run(call.change(x=np.ascontiguousarray(x[::-1])))
        context.assert_same(first, turned, through={"out": np.flipud})

    def first_row_differs(x, kind):
        return large(x, kind) * (1 + (np.arange(len(x)) == 0))[:, None]

    check = unregistered_check(negation_and_permutation, agreement=False, name="squash/both")
    assert squash_result(large, check).blocked_by == "agreement"
    assert squash_result(first_row_differs, check).status == "failed"


@pytest.mark.rules("conformance-R20")
def test_wrong_answers_after_a_right_first_answer_are_blocked():
    def zero_first(context, call):
        """A negated vector must give the negated result."""
        context.run(call.change(x=0 * call.arrays["x"]))
        property_check().run(context, call)

    check = unregistered_check(zero_first, agreement=False, name="squash/zero")
    assert squash_result(large, check).blocked_by == "agreement"


@pytest.mark.rules("conformance-R20")
def test_an_agreement_check_is_not_blocked_by_itself():
    check = unregistered_check(property_check().run, agreement=True)
    assert squash_result(large, check).status == "failed"


@pytest.mark.rules("conformance-R20")
@pytest.mark.parametrize(
    ("first", "second", "allowed", "equal"),
    [
        ([1.0, 0.0], [1.0, 1e-15], 0.0, True),  # 0 may be a rounded number
        ([1.0, 0.0], [1.0, 1e-13], 0.0, False),
        ([1e6, 0.0], [1e6, 1e-9], 1e-15, True),
        ([1.0, 0.0], [1.0, 1e-11], 1e-10, True),  # the relative bound of the reference
        ([1.0, 0.0], [1.0, 1e-6], 1.0, False),  # at most half of the digits
        ([1.0, np.inf], [1.0, np.inf], 0.0, True),
        ([1.0, np.nan], [1.0, np.nan], 0.0, True),
        ([1.0, np.inf], [1.0, np.nan], 0.0, True),  # numerics-R13
        ([1.0, 2.0], [1.0, np.nan], 0.0, False),
        ([1, 2], [1, 3], 9.0, False),
        ([1.0], [1.0, 1.0], 0.0, False),
    ],
)
def test_arrays_are_equal_up_to_the_rounding_of_their_largest_number(first, second, allowed, equal):
    bounds = [ExpectedArray(np.array([1.0, 0.0]), np.full(2, allowed))]
    assert equal_up_to_rounding(np.array(first), np.array(second), bounds, DOUBLE) is equal


@pytest.mark.rules("conformance-R20")
def test_the_rounding_is_that_of_the_precision():
    x = np.ones(2, np.float32)
    bounds = [ExpectedArray(np.ones(2), np.zeros(2))]
    assert equal_up_to_rounding(x, x * np.float32(1 + 1e-6), bounds, SINGLE)
    assert not equal_up_to_rounding(x, x * np.float32(1 + 1e-4), bounds, SINGLE)
