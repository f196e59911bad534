"""Every check as such: the reference passes it, no null does, and it says what it asks."""

from __future__ import annotations

import re

import pytest

from mindref.conformance.bounds import Precision
from mindref.conformance.judging.check import Check, all_checks
from mindref.conformance.judging.engine import Effort, run_check
from mindref.conformance.judging.gates import leaks
from mindref.conformance.judging.plan import PROFILES
from mindref.conformance.judging.subject import OfBackend
from mindref.conformance.variants.loader import backend_of
from tests import pages

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
def reference() -> OfBackend:
    return OfBackend(backend_of(None))


@EACH_RUN
@PRECISIONS
def test_the_reference_passes(check: Check, precision: Precision, reference: OfBackend) -> None:
    result = run_check(check, reference, precision, Effort(SMOKE.examples, 0, shrink=False))
    assert result.status == "passed", result.message
    assert result.grade == "A"
    assert result.examples > 0


@EACH_RUN
@PRECISIONS
@pytest.mark.rules("conformance-R4")
def test_no_null_passes(check: Check, precision: Precision) -> None:
    assert leaks(check, precision, SMOKE.gate_examples) == []


@EACH
def test_it_cites_rules_that_exist(check: Check) -> None:
    assert check.rules
    assert len(set(check.rules)) == len(check.rules)
    for rule in check.rules:
        assert rule in pages.rules(rule.partition("-R")[0])


@EACH
def test_it_says_in_one_sentence_what_it_asks(check: Check) -> None:
    text = (check.run.__doc__ or "").strip()
    assert text == check.text  # one line, which is what the report shows
    assert re.fullmatch(r"\S.*[^.]\.", text)
    assert not re.search(r"[.!?] [A-Z]", text)
