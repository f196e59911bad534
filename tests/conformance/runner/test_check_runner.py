"""One check: passed, failed, too few comparisons, and the six trivial implementations."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mindref
from mindref.conformance.bounds import Precision
from mindref.conformance.runner.check_runner import (
    ExampleBudget,
    draw_calls,
    largest_call,
    run_check,
)
from mindref.conformance.runner.context import CheckContext
from mindref.conformance.runner.reference import ExpectedArray
from mindref.conformance.runner.trivial_implementations import (
    TRIVIAL_IMPLEMENTATIONS,
    accepted_trivial,
)
from tests import spec_pages
from tests.conformance.runner.implementations import (
    implementation,
    property_check,
    right,
    unregistered_check,
)

DOUBLE, SINGLE = Precision.of("float64"), Precision.of("float32")
BUDGET = ExampleBudget(10)
PRECISIONS = pytest.mark.parametrize("precision", [DOUBLE, SINGLE], ids=str)


def scaled(factor):
    return lambda x, kind: (right(x) * x.dtype.type(factor)).astype(x.dtype)


def check_result(forward=right, check=None, precision=DOUBLE, budget=BUDGET):
    """Return the result of a check, by default of agreement, for a backend with this squash."""
    return run_check(check or unregistered_check(), implementation(forward), precision, budget)


@PRECISIONS
@pytest.mark.parametrize(
    "check", [unregistered_check(), property_check()], ids=["agreement", "property"]
)
def test_a_right_formula_passes(check, precision):
    result = check_result(check=check, precision=precision)
    assert (result.status, result.examples) == ("passed", 10), result.message
    assert 0 < result.error_ratio < 1 or precision == DOUBLE


def test_a_failure_has_the_wrong_number_and_its_error_in_the_smallest_call():
    result = check_result(scaled(1.01))
    assert result.status == "failed"
    assert "out[0, 0] is" in result.message
    assert "times the error bound" in result.message
    assert result.evidence is not None
    assert result.evidence.part == "out"
    low, got, high = result.evidence.low, result.evidence.got, result.evidence.high
    assert low is not None
    assert ((got < low) | (got > high)).any()
    assert result.evidence.calls[-1].arrays["x"].size <= 2


@pytest.mark.rules("conformance-R3")
def test_a_check_that_compares_nothing_fails():
    def compares_nothing(context, call):
        """Nothing at all."""

    result = check_result(check=unregistered_check(compares_nothing))
    assert result.status == "failed"
    assert "0 of 10 examples compared a number" in result.message


@pytest.mark.rules("conformance-R3")
def test_a_check_that_rarely_compares_fails():
    calls = []

    def rarely(context, call):
        """One example in three."""
        calls.append(call)
        if len(calls) % 3 == 0:
            context.assert_agrees(call)

    result = check_result(check=unregistered_check(rarely), budget=ExampleBudget(12))
    assert (result.status, result.examples) == ("failed", 4)


@pytest.mark.rules("conformance-R5")
def test_a_property_of_wrong_answers_is_blocked():
    result = check_result(scaled(1.01), property_check())
    assert (result.status, result.blocked_by) == ("blocked", "agreement")


def test_a_broken_property_fails():
    assert check_result(lambda x, kind: right(x) + np.abs(x), property_check()).status == "failed"


@pytest.mark.rules("conformance-R6")
def test_share_and_grade_are_those_of_the_page():
    example = spec_pages.examples("conformance")[0]
    for got, share, grade in zip(example["got"], example["share"], example["grade"], strict=True):
        context = CheckContext(implementation(), DOUBLE, 0)
        want = ExpectedArray(np.array(example["value"]), np.array(example["allowed"]))
        assert want.largest_error_ratio(np.array(got)) == pytest.approx(share)
        if grade == "-":
            with pytest.raises(AssertionError, match="out is"):
                context.assert_close("out", np.array(got), want, lambda: np.array(example["worst"]))
        else:
            context.assert_close("out", np.array(got), want, lambda: np.array(example["worst"]))
            assert context.grade == grade


@pytest.mark.rules("conformance-R6")
def test_no_bound_applies_outside_the_range():
    beyond = ExpectedArray(np.array([1e300, 1.0]), np.array([np.inf, 1e-6]))
    for got in (3.0, np.inf, np.nan):
        assert beyond.largest_error_ratio(np.array([got, 1.0])) == 0
        assert beyond.largest_error_ratio(np.array([got, np.inf])) == np.inf
    infinite = ExpectedArray(np.array([np.inf]), np.array([np.inf]))
    assert infinite.largest_error_ratio(np.array([3.0])) == np.inf


@pytest.mark.rules("conformance-R6")
@PRECISIONS
def test_the_bound_depends_on_the_dtype(precision):
    eps = float(np.finfo(precision.input).eps)
    near, far = (check_result(scaled(1 + n * eps), precision=precision) for n in (2, 100))
    assert near.grade in "AB"
    assert far.status == "failed"


@pytest.mark.rules("conformance-R7")
def test_the_seed_determines_the_calls():
    def inputs(seed):
        recorded = []

        def forward(x, kind):
            recorded.append(x.tobytes())
            return right(x)

        check_result(forward, budget=ExampleBudget(10, seed))
        return recorded

    assert inputs(3) == inputs(3)
    assert inputs(3) != inputs(4)


@pytest.mark.rules("conformance-R13")
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            RuntimeError("no kernel image\nis available"),
            "RuntimeError: no kernel image is available",
        ),
        (SystemExit(0), "SystemExit: 0"),
    ],
)
def test_an_exception_of_the_backend_is_quoted(error, message):
    def raises(x, kind):
        raise error

    result = check_result(raises)
    assert (result.status, result.message) == ("failed", f"raised {message}")


def test_a_nondeterministic_answer_fails():
    rng = np.random.default_rng(0)

    def nondeterministic(x, kind):
        return right(x) * (1 if rng.random() < 0.9 else 1.5)

    assert check_result(nondeterministic, budget=ExampleBudget(60)).status == "failed"


@pytest.mark.rules("backend-R12")
@pytest.mark.parametrize(
    ("forward", "rule"),
    [
        (lambda x, kind: np.add(x, 1, out=x), "numerics-R7"),
        (lambda x, kind: x, "backend-R12"),
        (lambda x, kind: right(x).astype(np.float16), "numerics-R2"),
    ],
)
def test_a_broken_common_rule_is_named(forward, rule):
    result = check_result(forward, precision=SINGLE)
    assert (result.status, result.blocked_by) == ("blocked", rule)


@pytest.mark.rules("backend-R12")
def test_a_reused_buffer_is_detected():
    buffers = {}

    def reuses(x, kind):
        buffer = buffers.setdefault((x.shape, x.dtype), np.empty_like(x))
        buffer[...] = right(x)
        return buffer

    result = check_result(reuses, property_check())
    assert (result.status, result.blocked_by) == ("blocked", "backend-R12")


def test_a_wrong_shape_fails_with_both_shapes():
    assert "expected (" in check_result(lambda x, kind: right(x)[:, :1]).message


def test_draws_are_the_same_each_time():
    assert len(draw_calls(unregistered_check(), 5)) == 5
    arguments = (unregistered_check(), implementation(), ExampleBudget(5))
    first, second = (largest_call(*arguments) for _ in range(2))
    assert first.arrays["x"].size == max(
        call.arrays["x"].size for call in draw_calls(arguments[0], 5)
    )
    assert first.arrays["x"].tobytes() == second.arrays["x"].tobytes()


def test_a_broken_property_is_reported_before_wrong_answers():
    """All answers are slightly wrong; those of negative numbers break the property as well."""
    count = iter(range(1000))

    def drifts(x, kind):
        return right(x) * (1.001 if next(count) < 6 else np.where(x > 0, 1.1, 1.0))

    result = check_result(drifts, property_check())
    assert (result.status, result.blocked_by) == ("failed", "")


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


DRAW = """
import hashlib
{load}
from mindref.conformance.runner.check import all_checks
from mindref.conformance.runner.check_runner import draw_calls
digest = hashlib.sha256()
for check in [c for c in all_checks() if c.stem in ("routing", "label_attention")]:
    for call in draw_calls(check, 8):
        digest.update(repr(call).encode())
print(digest.hexdigest())
"""


@pytest.mark.rules("conformance-R7")
@pytest.mark.slow
def test_draws_do_not_depend_on_loaded_modules(tmp_path):
    """Hypothesis would take constants from a module in the current folder."""
    constants = "\n".join(f"x{i} = {i}; y{i} = {i / 7}" for i in range(1, 500))
    (tmp_path / "local.py").write_text(constants, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(Path(mindref.__file__).parents[1])}
    drawn_with = [
        subprocess.run(
            [sys.executable, "-c", DRAW.format(load=load)],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
        ).stdout
        for load in ("", "import local")
    ]  # fmt: skip
    assert drawn_with[0] == drawn_with[1] != ""
