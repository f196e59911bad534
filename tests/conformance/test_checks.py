"""Every check: the reference passes, trivial implementations fail, its text is a sentence."""

from __future__ import annotations

import re

import pytest

from mindref.conformance.bounds import Precision
from mindref.conformance.mutants.loader import backend_of
from mindref.conformance.runner.check import ConformanceCheck, all_checks
from mindref.conformance.runner.check_runner import ExampleBudget, run_check
from mindref.conformance.runner.implementation import BackendImplementation
from mindref.conformance.runner.plan import PROFILES
from mindref.conformance.runner.trivial_implementations import accepted_trivial
from tests import spec_pages

EACH = pytest.mark.parametrize("check", all_checks(), ids=lambda check: check.name)
EACH_RUN = pytest.mark.parametrize(
    "check",
    [  # a check of level "train" draws whole trainings, which takes seconds
        pytest.param(x, id=x.name, marks=pytest.mark.slow(every=30 if x.level == "train" else 3))
        for x in all_checks()
    ],
)
SMOKE = PROFILES["smoke"]
PRECISIONS = pytest.mark.parametrize(
    "precision", [Precision.of("float64"), Precision.of("float32")], ids=str
)


@pytest.fixture(scope="module")
def reference() -> BackendImplementation:
    return BackendImplementation(backend_of(None))


@EACH_RUN
@PRECISIONS
def test_the_reference_passes(
    check: ConformanceCheck, precision: Precision, reference: BackendImplementation
) -> None:
    result = run_check(check, reference, precision, ExampleBudget(SMOKE.examples, 0, shrink=False))
    assert result.status == "passed", result.message
    assert result.grade == "A"
    assert result.examples > 0


@EACH_RUN
@PRECISIONS
@pytest.mark.rules("conformance-R4")
def test_no_trivial_implementation_passes(check: ConformanceCheck, precision: Precision) -> None:
    assert accepted_trivial(check, precision, SMOKE.gate_examples) == []


@EACH
def test_a_check_cites_existing_rules(check: ConformanceCheck) -> None:
    assert check.rules
    assert len(set(check.rules)) == len(check.rules)
    for rule in check.rules:
        assert rule in spec_pages.rules(rule.partition("-R")[0])


@EACH
def test_the_requirement_is_one_sentence(check: ConformanceCheck) -> None:
    text = (check.run.__doc__ or "").strip()
    assert text == check.text  # one line, which is what the report shows
    assert re.fullmatch(r"\S.*[^.]\.", text)
    assert not re.search(r"[.!?] [A-Z]", text)
