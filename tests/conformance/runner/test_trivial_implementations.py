"""The six trivial implementations that no check may accept."""

import pytest

from mindref.conformance.bounds import Precision
from mindref.conformance.runner.trivial_implementations import (
    TRIVIAL_IMPLEMENTATIONS,
    accepted_trivial,
)
from tests.conformance.runner.implementations import property_check, unregistered_check

DOUBLE = Precision.of("float64")


@pytest.mark.rules("conformance-R4")
def test_agreement_and_property_checks_reject_all():
    assert accepted_trivial(unregistered_check(), DOUBLE) == []
    assert accepted_trivial(property_check(), DOUBLE) == []


@pytest.mark.rules("conformance-R4")
def test_a_check_of_shapes_accepts_most():
    def shapely(context, call):
        """Only the number of axes."""
        context.assert_true(context.run(call)["out"].ndim == 2, "two axes")

    accepted = accepted_trivial(unregistered_check(shapely), DOUBLE)
    assert accepted == ["zeros", "constants", "another input", "the answer before"]


@pytest.mark.rules("conformance-R4")
def test_the_trivial_implementations_are_those_of_the_page():
    numbers = ["zeros", "constants", "another input"]
    memory = ["the input itself", "a changed input", "the answer before"]
    assert list(TRIVIAL_IMPLEMENTATIONS) == numbers + memory
