"""The class `CheckContext`: a check uses it to run calls and to compare the answers.

Spec: specs/conformance.md, conformance-R5, R6 and R20.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial, reduce
from typing import Any

import numpy as np

from mindref.conformance.bounds import Precision
from mindref.conformance.runner.call import AnyArray, Call, Implementation, call_arrays, copy_call
from mindref.conformance.runner.call_runner import CallAnswer, CallRunner
from mindref.conformance.runner.reference import ExpectedArray, expected_answer
from mindref.conformance.runner.result import CheckFailed, PropertyOnWrongAnswers
from mindref.conformance.runner.wrong_answers import equal_up_to_rounding
from mindref.errors import FOREIGN_ERRORS

__all__ = ["CallAnswer", "Change", "CheckContext", "call_arrays"]

Change = Callable[[AnyArray], AnyArray]


class CheckContext(CallRunner):
    """Runs calls on `implementation`, and compares the answers with expected numbers."""

    def __init__(
        self, implementation: Implementation, precision: Precision, seed: int, factor: float = 1
    ) -> None:
        super().__init__(implementation)
        self.precision, self.factor = precision, factor
        self.rng = np.random.default_rng(seed)
        self.compared = 0  # how many numbers were compared
        self.error_ratio = 0.0  # largest ratio error / error bound
        self.grade = "A"
        self.wrong_answers: list[CallAnswer] = []  # compared with another answer, and equal to it
        self.expected_cache: list[tuple[Call, str, dict[str, ExpectedArray]]] = []

    def expected(self, call: Call, mode: str = "statistical") -> dict[str, ExpectedArray]:
        """Return the reference's answer to `call`, with an error bound for each number."""
        for cached_call, cached_mode, parts in self.expected_cache:
            if cached_call is call and cached_mode == mode:
                return parts
        parts = self.widen(expected_answer(call, self.precision, mode))
        self.expected_cache.append((call, mode, parts))
        return parts

    def widen(self, parts: Mapping[str, ExpectedArray]) -> dict[str, ExpectedArray]:
        """Return `parts` with all error bounds multiplied by `self.factor`."""
        return {n: e._replace(allowed=self.factor * e.allowed) for n, e in parts.items()}

    def assert_agrees(self, call: Call, *parts: str) -> CallAnswer:
        """Run `call`. Compare the arrays named in `parts` (default: all) with the reference."""
        got = self.run(call)
        self.assert_matches(got, parts)
        return got

    def assert_matches(self, got: CallAnswer, parts: tuple[str, ...] = ()) -> None:
        """Compare the arrays of `got` named in `parts` (default: all) with the reference."""
        want = self.expected(got.call)
        for name in parts or [n for n in want if n in got or n not in ("rows", "couplings")]:
            if name not in got:
                evidence = self.evidence(name, kind="missing")
                raise CheckFailed(f"{name} is missing in the answer", evidence)
            self.assert_close(name, got[name], want[name], partial(self.worst_case, got.call, name))

    def worst_case(self, *calls_and_name: Any) -> AnyArray:
        """Sum the worst-case error bounds of one array over calls. The array name comes last."""
        *calls, name = calls_and_name
        return reduce(np.add, [self.expected(call, "worst")[name].allowed for call in calls])

    def assert_close(
        self, name: str, got: AnyArray, want: ExpectedArray, worst: Callable[[], AnyArray]
    ) -> None:
        """Compare `got` with `want`. If an error is too large, compare with the bound `worst()`."""
        if got.shape != want.value.shape:
            message = f"{name} has shape {got.shape}, expected {want.value.shape}"
            raise CheckFailed(message, self.evidence(name, got))
        ratio = want.largest_error_ratio(got)
        self.compared += int(np.count_nonzero(np.isfinite(want.allowed)))
        if ratio > 1:
            wide = want._replace(allowed=np.maximum(worst(), want.allowed))
            if wide.largest_error_ratio(got) > 1:  # conformance-R6
                message = want.describe_deviation(name, got)
                raise CheckFailed(message, self.evidence(name, got, wide))
            self.grade = "B"
        self.error_ratio = max(self.error_ratio, ratio)

    def assert_within(self, name: str, got: AnyArray, value: Any, allowed: AnyArray) -> None:
        """Raise CheckFailed if the error of `got` exceeds 2 `allowed`; above `allowed`, grade B."""
        want = ExpectedArray(np.asarray(value), allowed)
        self.assert_close(name, got, want, lambda: 2 * allowed)

    def assert_same(
        self,
        first: CallAnswer,
        second: CallAnswer,
        *parts: str,
        through: Mapping[str, Change] | None = None,
    ) -> None:
        """Compare two answers. A function `through[name]` first changes array `name` of `second`.

        The answers may differ by the sum of their error bounds.
        """
        allowed_first, allowed_second = self.expected(first.call), self.expected(second.call)
        for name in parts or tuple(n for n in second if n != "rows"):
            change = (through or {}).get(name, np.asarray)
            allowed = allowed_first[name].allowed + change(allowed_second[name].allowed)
            want = ExpectedArray(change(second[name]), allowed)
            worst = partial(self.worst_case_of_both, first.call, second.call, name, change)
            with self.allow_wrong_answers(first, second, name, change):
                self.assert_close(name, first[name], want, worst)

    def worst_case_of_both(self, first: Call, second: Call, name: str, change: Change) -> AnyArray:
        """Add two worst-case bounds of array `name`: of `first`, and of `second` after `change`."""
        return self.worst_case(first, name) + change(self.worst_case(second, name))

    def assert_equal(
        self,
        first: CallAnswer,
        second: CallAnswer,
        *parts: str,
        through: Mapping[str, Change] | None = None,
    ) -> None:
        """Require that two answers are exactly equal. See `assert_same` for the arguments."""
        for name in parts or tuple(second):
            change = (through or {}).get(name, np.asarray)
            with self.allow_wrong_answers(first, second, name, change):
                self.assert_exact(first, name, change(second[name]))

    @contextmanager
    def allow_wrong_answers(
        self, first: CallAnswer, second: CallAnswer, name: str, change: Change
    ) -> Iterator[None]:
        """Suppress CheckFailed in the `with` block if wrong answers have the tested property.

        The error bounds are those of the reference's answers. If an answer is wrong, the bounds do
        not apply to it. Then `assert_first_matches` raises PropertyOnWrongAnswers, unless the
        answers differ by more than rounding (conformance-R20).
        """
        try:
            with self.record_source(second, name, change):
                yield
        except CheckFailed:
            wrong = [answer for answer in (first, second) if self.is_wrong(answer)]
            if not wrong:
                raise
            bounds = [self.expected(answer.call)[name] for answer in (first, second)]
            if not equal_up_to_rounding(first[name], change(second[name]), bounds, self.precision):
                raise
            self.wrong_answers += wrong  # conformance-R20

    def is_wrong(self, answer: CallAnswer) -> bool:
        """Return whether the reference has another answer; false if it raises an error."""
        try:
            self.assert_matches(answer)
        except CheckFailed:
            return True
        except FOREIGN_ERRORS:
            return False
        return False

    @contextmanager
    def record_source(self, other: CallAnswer, name: str, change: Change) -> Iterator[None]:
        """On CheckFailed in the `with` block, record where in `other` the expected numbers are."""
        try:
            yield
        except CheckFailed as error:
            call_index = next((i for i, a in self.answers if a is other), -1)
            index = gather_index(change, other[name])
            if call_index >= 0 and index is not None:
                error.evidence = error.evidence._replace(source=(call_index, index))
            else:  # the expected numbers were computed from an answer that may be wrong
                error.evidence = error.evidence._replace(kind="fact")
            raise

    def assert_exact(self, got: CallAnswer, name: str, value: Any, mask: Any = True) -> None:
        """Require that array `name` of `got` equals `value` exactly where `mask` is true."""
        want = np.where(mask, np.broadcast_to(value, got[name].shape), got[name])
        self.compared += int(np.count_nonzero(np.broadcast_to(mask, got[name].shape)))
        if not np.array_equal(got[name], want, equal_nan=want.dtype.kind == "f"):
            exact = ExpectedArray(want, np.zeros(want.shape))
            message = exact.describe_deviation(name, got[name])
            if want.dtype.kind == "f":  # where `mask` is false, any number is allowed
                want = np.where(mask, want, 0)
            expected = ExpectedArray(want, np.where(np.broadcast_to(mask, want.shape), 0.0, np.inf))
            raise CheckFailed(message, self.evidence(name, got[name], expected))

    def assert_true(
        self, truth: Any, message: str, got: CallAnswer | None = None, part: str = ""
    ) -> None:
        """Raise CheckFailed with `message` unless `truth` is true."""
        self.compared += 1
        if not truth:
            value = got[part] if got is not None and part else None
            raise CheckFailed(message, self.evidence(part, value))

    def assert_raises(self, call: Call) -> None:
        """Run the invalid `call`. It must raise an error other than NotImplementedError."""
        self.calls.append(call)
        self.compared += 1
        try:
            self.run_silently(copy_call(call))
        except NotImplementedError as error:
            message = f"raised NotImplementedError: {error}"
            raise CheckFailed(message, self.evidence(kind="answered")) from error
        except FOREIGN_ERRORS:
            return
        message = "an invalid call returned an answer, expected an exception"
        raise CheckFailed(message, self.evidence(kind="answered"))

    def assert_each_raises(self, call: Call, **values: Sequence[Any]) -> None:
        """Run the valid `call`. Then run it with each value in `values`, which must raise."""
        self.run(call)
        for name, invalid in values.items():
            for value in invalid:
                self.assert_raises(call.change(**{name: value}))

    def assert_first_matches(self) -> None:
        """Raise PropertyOnWrongAnswers if the answer to the first call is not the reference's.

        Also if the check compared wrong answers that have the tested property.
        """
        first = [answer for _, answer in self.answers[:1]]
        for answer in [*first, *self.wrong_answers]:
            try:
                self.assert_matches(answer)
            except CheckFailed as error:
                raise PropertyOnWrongAnswers(str(error), error.evidence) from error


def gather_index(change: Change, x: AnyArray) -> AnyArray | None:
    """If `change` only selects elements of x, return their flat indices in x; otherwise None."""
    index = np.asarray(change(np.arange(x.size).reshape(x.shape)))
    if index.dtype.kind != "i" or not np.isin(index, np.arange(x.size)).all():
        return None
    same = x.reshape(-1)[index].tobytes() == np.asarray(change(x)).tobytes()
    return index if same else None
