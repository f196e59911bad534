"""The checks of golden values: correct implementations pass, and the frozen numbers decide."""

import re

import numpy as np
import pytest

from mindref.conformance.bounds import Precision
from mindref.conformance.checks import golden as golden_checks
from mindref.conformance.golden import golden
from mindref.conformance.golden.files import GoldenCase
from mindref.conformance.runner.call import BackendImplementation, is_float_array
from mindref.conformance.runner.check import all_checks
from mindref.conformance.runner.check_runner import ExampleBudget, run_check
from mindref.conformance.runner.composed_backend import reference_model
from mindref.conformance.runner.context import CheckContext
from mindref.conformance.runner.reference import expected_answer
from mindref.conformance.runner.result import CheckFailed
from tests.assertions import nonempty
from tests.conformance.correct import correct_backend

CHECKS = [check for check in all_checks() if check.name.startswith("golden/")]
EACH = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.stem)
TYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])


@pytest.fixture(autouse=True)
def fresh():
    golden_checks.golden_answer.cache_clear()
    yield
    golden_checks.golden_answer.cache_clear()


def check_result(check, backend, dtype="float64", examples=30):
    budget = ExampleBudget(examples, seed=0, shrink=False)
    return run_check(check, BackendImplementation(backend), Precision.of(dtype), budget)


def test_there_is_a_check_for_each_file():
    files = {
        name.removesuffix(".json") for name in golden.golden_hashes() if name.endswith(".json")
    }
    assert sorted(check.stem for check in CHECKS) == sorted(files)


@TYPES
@EACH
def test_the_reference_and_correct_implementations_pass(check, dtype):
    for backend in (reference_model(), correct_backend()):
        result = check_result(check, backend, dtype)
        assert (result.status, result.grade) == ("passed", "A"), (backend.name, result.message)
        assert result.examples == len(golden.load_cases(check.stem))


def moved(x):
    """Return an array with one changed number, by more than the worst case in float32."""
    changed = np.array(x)
    last = changed.reshape(-1)[-1:]
    last[:] = last + 0.02 if is_float_array(x) else ~last if x.dtype.kind == "b" else last + 1
    return changed


@pytest.mark.rules("conformance-R15")
@TYPES
@EACH
@pytest.mark.slow(every=4)
def test_every_golden_part_is_compared(check, dtype, monkeypatch):
    precision = Precision.of(dtype)
    golden.case_names(check.stem)  # cached before `load_cases` is replaced
    for name, (call, answer) in nonempty(golden.load_cases(check.stem).items()):
        for part, x in answer.items():
            one = {name: GoldenCase(call, {**answer, part: moved(x)})}
            monkeypatch.setattr(golden, "load_cases", lambda stem, one=one: one)
            golden_checks.golden_answer.cache_clear()
            context = CheckContext(BackendImplementation(reference_model()), precision, seed=0)
            with pytest.raises(CheckFailed, match=f"^{re.escape(part)}[ [].* expected"):
                check.run(context, call.to(dtype))
            monkeypatch.undo()


@pytest.mark.rules("conformance-R15")
@EACH
def test_a_changed_reference_does_not_change_the_result(check, monkeypatch):
    def changed_answer(*arguments):
        parts = expected_answer(*arguments)
        return {name: part._replace(value=moved(part.value)) for name, part in parts.items()}

    monkeypatch.setattr("mindref.conformance.runner.context.expected_answer", changed_answer)
    monkeypatch.setattr(golden_checks, "expected_answer", changed_answer)
    result = check_result(check, reference_model())
    assert (result.status, result.grade) == ("passed", "A"), result.message
    pages = [c for c in all_checks() if c.agreement and c.stem == check.stem]
    assert any(check_result(c, reference_model(), examples=2).status == "failed" for c in pages)


def test_a_widened_tolerance_applies_to_golden_values(monkeypatch):
    check = next(c for c in CHECKS if c.stem == "squash")
    cases = {
        name: GoldenCase(call, {**answer, "out": answer["out"] * (1 + 1e-6)})
        for name, (call, answer) in golden.load_cases("squash").items()
    }
    monkeypatch.setattr(golden, "load_cases", lambda stem: cases)
    implementation = BackendImplementation(reference_model())
    arguments = (check, implementation, Precision.of("float64"), ExampleBudget(9))
    assert run_check(*arguments).status == "failed"
    assert run_check(*arguments, factor=1e12).status == "passed"
