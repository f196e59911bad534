"""Six answers that no check may accept."""

from __future__ import annotations

import pytest

from mindref.conformance.bounds import Precision
from mindref.conformance.judging.call import Call
from mindref.conformance.judging.gates import NULLS, leaks
from mindref.conformance.judging.judge import Judge
from tests.conformance.judging.subjects import law, made

DOUBLE = Precision.of("float64")


@pytest.mark.rules("conformance-R4")
def test_agreement_and_an_anchored_law_accept_none() -> None:
    assert leaks(made(), DOUBLE) == []
    assert leaks(law(), DOUBLE) == []


@pytest.mark.rules("conformance-R4")
def test_a_check_that_only_looks_at_shapes_accepts_most() -> None:
    def shapely(judge: Judge, call: Call) -> None:
        """Only the number of axes."""
        judge.holds(judge.ask(call)["out"].ndim == 2, "two axes")

    accepted = leaks(made(shapely), DOUBLE)
    assert accepted == ["zeros", "constants", "another input", "the answer before"]


@pytest.mark.rules("conformance-R4")
def test_the_nulls_are_those_of_the_page() -> None:
    names = [null.name for null in NULLS]
    assert names == [
        "zeros",
        "constants",
        "another input",
        "the input itself",
        "a changed input",
        "the answer before",
    ]
