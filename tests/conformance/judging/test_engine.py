"""One check: what passes, what fails, what is not enough."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mindref
from mindref.conformance.bounds import Precision
from mindref.conformance.judging import compare
from mindref.conformance.judging.call import Call
from mindref.conformance.judging.engine import Effort, drawn, run_check, sample
from mindref.conformance.judging.judge import Judge
from mindref.conformance.judging.reference import Expected
from tests import pages
from tests.conformance.judging.subjects import law, made, right, subject

DOUBLE, SINGLE = Precision.of("float64"), Precision.of("float32")
EFFORT = Effort(10)


def scaled(factor: float) -> Any:
    return lambda x, kind: (right(x) * x.dtype.type(factor)).astype(x.dtype)


@pytest.mark.parametrize("precision", [DOUBLE, SINGLE], ids=str)
@pytest.mark.parametrize("check", [made(), law()], ids=["agreement", "law"])
def test_a_right_formula_passes(check: Any, precision: Precision) -> None:
    result = run_check(check, subject(), precision, EFFORT)
    assert (result.status, result.examples) == ("passed", 10), result.message
    assert 0 < result.share < 1 or precision == DOUBLE


def test_a_failure_says_which_number_is_off_and_by_how_much() -> None:
    result = run_check(made(), subject(scaled(1.01)), DOUBLE, EFFORT)
    assert result.status == "failed"
    assert "out[0, 0] is" in result.message
    assert "times the allowed error" in result.message
    assert result.evidence is not None
    assert result.evidence.part == "out"
    low, got, high = result.evidence.low, result.evidence.got, result.evidence.high
    assert low is not None
    assert ((got < low) | (got > high)).any()


def test_a_failure_is_shrunk_to_the_smallest_call() -> None:
    result = run_check(made(), subject(scaled(1.01)), DOUBLE, EFFORT)
    assert result.evidence is not None
    assert result.evidence.calls[-1].arrays["x"].size <= 2


@pytest.mark.rules("conformance-R3")
def test_a_check_that_compares_nothing_fails() -> None:
    def looks_away(judge: Judge, call: Call) -> None:
        """Nothing at all."""

    result = run_check(made(looks_away), subject(), DOUBLE, EFFORT)
    assert result.status == "failed"
    assert "0 of 10 examples compared anything" in result.message


@pytest.mark.rules("conformance-R3")
def test_a_check_that_mostly_looks_away_fails() -> None:
    seen = []

    def rarely(judge: Judge, call: Call) -> None:
        """One example in three."""
        seen.append(call)
        if len(seen) % 3 == 0:
            judge.agree(call)

    result = run_check(made(rarely), subject(), DOUBLE, Effort(12))
    assert (result.status, result.examples) == ("failed", 4)


@pytest.mark.rules("conformance-R5")
def test_a_law_of_wrong_answers_is_blocked_and_not_passed() -> None:
    result = run_check(law(), subject(scaled(1.01)), DOUBLE, EFFORT)
    assert (result.status, result.blocked_by) == ("blocked", "agreement")


def test_a_law_that_breaks_fails_by_itself() -> None:
    def lopsided(x: Any, kind: str) -> Any:
        return right(x) + np.abs(x)

    assert run_check(law(), subject(lopsided), DOUBLE, EFFORT).status == "failed"


@pytest.mark.rules("conformance-R6")
def test_share_and_grade_are_those_of_the_page() -> None:
    example = pages.examples("conformance")[0]
    for got, share, grade in zip(example["got"], example["share"], example["grade"], strict=True):
        judge = Judge(subject(), DOUBLE, 0)
        want = Expected(np.array(example["value"]), np.array(example["allowed"]))
        assert compare.ratio(np.array(got), want) == pytest.approx(share)
        if grade == "-":
            with pytest.raises(AssertionError, match="out is"):
                judge.close("out", np.array(got), want, lambda: np.array(example["worst"]))
        else:
            judge.close("out", np.array(got), want, lambda: np.array(example["worst"]))
            assert judge.grade == grade


@pytest.mark.rules("conformance-R6")
def test_where_a_value_leaves_the_range_nothing_is_promised() -> None:
    beyond = Expected(np.array([1e300, 1.0]), np.array([np.inf, 1e-6]))
    for got in (3.0, np.inf, np.nan):
        assert compare.ratio(np.array([got, 1.0]), beyond) == 0
        assert compare.ratio(np.array([got, np.inf]), beyond) == np.inf
    infinite = Expected(np.array([np.inf]), np.array([np.inf]))
    assert compare.ratio(np.array([3.0]), infinite) == np.inf


@pytest.mark.rules("conformance-R6")
@pytest.mark.parametrize("precision", [DOUBLE, SINGLE], ids=str)
def test_the_allowed_error_is_that_of_the_type(precision: Precision) -> None:
    eps = float(np.finfo(precision.input).eps)
    assert run_check(made(), subject(scaled(1 + 2 * eps)), precision, EFFORT).grade in "AB"
    assert run_check(made(), subject(scaled(1 + 100 * eps)), precision, EFFORT).status == "failed"


@pytest.mark.rules("conformance-R7")
def test_the_same_seed_asks_the_same_calls_and_another_one_others() -> None:
    def asked(seed: int) -> list[bytes]:
        seen: list[bytes] = []

        def forward(x: Any, kind: str) -> Any:
            seen.append(x.tobytes())
            return right(x)

        run_check(made(), subject(forward), DOUBLE, Effort(10, seed))
        return seen

    assert asked(3) == asked(3)
    assert asked(3) != asked(4)


@pytest.mark.rules("conformance-R13")
def test_what_a_backend_raises_is_a_failure_that_quotes_it() -> None:
    def breaks(x: Any, kind: str) -> Any:
        raise RuntimeError("no kernel image\nis available")

    result = run_check(made(), subject(breaks), DOUBLE, EFFORT)
    assert result.status == "failed"
    assert result.message == "raised RuntimeError: no kernel image is available"


def test_an_answer_that_changes_from_call_to_call_fails() -> None:
    rng = np.random.default_rng(0)

    def moody(x: Any, kind: str) -> Any:
        return right(x) * (1 if rng.random() < 0.9 else 1.5)

    result = run_check(made(), subject(moody), DOUBLE, Effort(60))
    assert result.status == "failed"


@pytest.mark.rules("backend-R12")
@pytest.mark.parametrize(
    ("forward", "rule"),
    [
        (lambda x, kind: np.add(x, 1, out=x), "numerics-R7"),
        (lambda x, kind: x, "backend-R12"),
        (lambda x, kind: right(x).astype(np.float16), "numerics-R2"),
    ],
)
def test_a_rule_of_all_operators_that_breaks_beside_a_check_is_named(
    forward: Any, rule: str
) -> None:
    result = run_check(made(), subject(forward), SINGLE, EFFORT)
    assert (result.status, result.blocked_by) == ("blocked", rule)


@pytest.mark.rules("backend-R12")
def test_a_buffer_that_is_used_again_is_seen() -> None:
    buffers: dict[Any, Any] = {}

    def reuses(x: Any, kind: str) -> Any:
        buffer = buffers.setdefault((x.shape, x.dtype), np.empty_like(x))
        buffer[...] = right(x)
        return buffer

    result = run_check(law(), subject(reuses), DOUBLE, EFFORT)
    assert (result.status, result.blocked_by) == ("blocked", "backend-R12")


def test_a_shape_that_is_wrong_fails_with_both_shapes() -> None:
    result = run_check(made(), subject(lambda x, kind: right(x)[:, :1]), DOUBLE, EFFORT)
    assert "expected (" in result.message


def test_samples_are_the_same_each_time() -> None:
    assert len(drawn(made(), 5)) == 5
    one, other = sample(made(), "float32"), sample(made(), "float32")
    assert one.dtype == np.float32
    assert one.arrays["x"].tobytes() == other.arrays["x"].tobytes()


def test_a_law_that_breaks_later_is_told_before_an_answer_that_is_wrong_at_once() -> None:
    """All answers are a little wrong; those of negative numbers break the law as well."""
    asked = iter(range(1000))

    def drifts(x: Any, kind: str) -> Any:
        return right(x) * (1.001 if next(asked) < 6 else np.where(x > 0, 1.1, 1.0))

    result = run_check(law(), subject(drifts), DOUBLE, EFFORT)
    assert result.status == "failed"
    assert result.blocked_by == ""


DRAW = """
import hashlib
{load}
from mindref.conformance.judging.check import all_checks
from mindref.conformance.judging.engine import drawn
found = hashlib.sha256()
for check in [c for c in all_checks() if c.stem in ("routing", "label_attention")]:
    for call in drawn(check, 30):
        found.update(repr(call).encode())
print(found.hexdigest())
"""


@pytest.mark.rules("conformance-R7")
@pytest.mark.slow
def test_what_is_drawn_does_not_depend_on_what_else_is_loaded(tmp_path: Path) -> None:
    """Hypothesis would take constants out of a module in the current folder."""
    constants = "\n".join(f"x{i} = {i}; y{i} = {i / 7}" for i in range(1, 500))
    (tmp_path / "local.py").write_text(constants, encoding="utf-8")
    own = {**os.environ, "PYTHONPATH": str(Path(mindref.__file__).parents[1])}
    drawn_with = [
        subprocess.run(
            [sys.executable, "-c", DRAW.format(load=load)],
            cwd=tmp_path, env=own, capture_output=True, text=True, check=True,
        ).stdout
        for load in ("", "import local")
    ]  # fmt: skip
    assert drawn_with[0] == drawn_with[1] != ""


@pytest.mark.rules("conformance-R13")
def test_a_backend_that_leaves_the_program_fails_and_the_judge_goes_on() -> None:
    def leaves(x: Any, kind: str) -> Any:
        raise SystemExit(0)

    result = run_check(made(), subject(leaves), DOUBLE, EFFORT)
    assert result.status == "failed"
    assert result.message == "raised SystemExit: 0"
