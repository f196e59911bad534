"""The checks of frozen answers: who passes, and that it is the frozen number that decides."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from mindref.conformance import goldens
from mindref.conformance.bounds import Precision
from mindref.conformance.golden import golden
from mindref.conformance.golden.files import Case
from mindref.conformance.judging.call import is_float
from mindref.conformance.judging.check import Check, all_checks
from mindref.conformance.judging.composed import Composed, reference_model
from mindref.conformance.judging.engine import Effort, run_check
from mindref.conformance.judging.failure import Broken
from mindref.conformance.judging.gates import leaks
from mindref.conformance.judging.judge import Judge
from mindref.conformance.judging.reference import Expected, expected
from mindref.conformance.judging.result import Result
from mindref.conformance.judging.subject import OfBackend
from mindref.models import mind
from mindref.training import optimiser
from tests.conformance.correct import ALL

CHECKS = [check for check in all_checks() if check.name.startswith("goldens/")]
EACH = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.stem)
TYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    goldens.frozen.cache_clear()
    yield
    goldens.frozen.cache_clear()


def composed(kind: Any) -> Composed:
    """A right implementation at all levels: its operators, put together as the pages say."""
    return Composed(kind().ops, mind, optimiser, name=kind.__name__)


def judged(check: Check, backend: Any, dtype: str = "float64", examples: int = 30) -> Result:
    effort = Effort(examples, seed=0, shrink=False)
    return run_check(check, OfBackend(backend), Precision.of(dtype), effort)


def test_there_is_a_check_for_each_file() -> None:
    files = {name.removesuffix(".json") for name in golden.hashes() if name.endswith(".json")}
    assert sorted(check.stem for check in CHECKS) == sorted(files)


@TYPES
@EACH
def test_the_reference_and_every_right_implementation_pass(check: Check, dtype: str) -> None:
    for backend in (reference_model(), *map(composed, ALL)):
        result = judged(check, backend, dtype)
        assert (result.status, result.grade) == ("passed", "A"), (backend.name, result.message)
        assert result.examples == len(golden.load(check.stem))


@TYPES
@EACH
def test_no_null_is_accepted(check: Check, dtype: str) -> None:
    assert leaks(check, Precision.of(dtype)) == []


def moved(x: Any) -> Any:
    """Return an array of which one number is another, by more than the worst case in float32."""
    changed = np.array(x)
    last = changed.reshape(-1)[-1:]
    last[:] = last + 0.02 if is_float(x) else ~last if x.dtype.kind == "b" else last + 1
    return changed


@pytest.mark.rules("conformance-R15")
@TYPES
@EACH
def test_each_frozen_part_decides_although_the_reference_of_the_day_would_accept(
    check: Check, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    precision = Precision.of(dtype)
    for name, (call, answer) in golden.load(check.stem).items():
        for part, x in answer.items():
            one = {name: Case(call, {**answer, part: moved(x)})}
            monkeypatch.setattr(golden, "load", lambda stem, one=one: one)
            goldens.frozen.cache_clear()
            judge = Judge(OfBackend(reference_model()), precision, seed=0)
            with pytest.raises(Broken, match=f"^{re.escape(part)}[ [].* expected"):
                check.run(judge, call.to(dtype))
            monkeypatch.undo()


@pytest.mark.rules("conformance-R15")
@EACH
def test_a_reference_of_another_day_changes_no_judgement(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_another_day(*question: Any) -> dict[str, Expected]:
        found = expected(*question)
        return {name: part._replace(value=moved(part.value)) for name, part in found.items()}

    monkeypatch.setattr("mindref.conformance.judging.judge.expected", of_another_day)
    monkeypatch.setattr(goldens, "expected", of_another_day)
    result = judged(check, reference_model())
    assert (result.status, result.grade) == ("passed", "A"), result.message
    pages = [c for c in all_checks() if c.agreement and c.stem == check.stem]
    assert any(judged(c, reference_model(), examples=2).status == "failed" for c in pages)


def test_a_widened_tolerance_widens_what_the_frozen_number_allows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check = next(c for c in CHECKS if c.stem == "squash")
    cases = {
        name: Case(call, {**answer, "out": answer["out"] * (1 + 1e-6)})
        for name, (call, answer) in golden.load("squash").items()
    }
    monkeypatch.setattr(golden, "load", lambda stem: cases)
    question = check, OfBackend(reference_model()), Precision.of("float64"), Effort(9)
    assert run_check(*question).status == "failed"
    assert run_check(*question, factor=1e12).status == "passed"
