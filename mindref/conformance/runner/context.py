"""The class `CheckContext`: a check uses it to run calls and to compare the answers.

`CheckContext.run` also tests three rules of all operators. A call does not change its inputs.
Answers share no memory with inputs or earlier answers. Answers have the dtype of the inputs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial, reduce
from typing import Any

import numpy as np

from mindref.conformance.bounds import Precision
from mindref.conformance.runner.call import (
    AnyArray,
    Call,
    Implementation,
    call_arrays,
    copy_call,
    is_claimed,
    named_arrays,
)
from mindref.conformance.runner.reference import ExpectedArray, expected_answer
from mindref.conformance.runner.result import (
    CheckFailed,
    CommonRuleFailed,
    Evidence,
    PropertyOnWrongAnswers,
    UnclaimedSettings,
)
from mindref.errors import FOREIGN_ERRORS

Change = Callable[[AnyArray], AnyArray]


class CallAnswer(dict[str, AnyArray]):
    """The answer to a call: a dict from names to arrays. The attribute `call` is the call."""

    def __init__(self, call: Call, parts: Mapping[str, AnyArray]) -> None:
        super().__init__(parts)
        self.call = call


class CheckContext:
    """Runs calls on `implementation`, and compares the answers with expected numbers."""

    def __init__(
        self, implementation: Implementation, precision: Precision, seed: int, factor: float = 1
    ) -> None:
        self.implementation, self.precision, self.factor = implementation, precision, factor
        self.rng = np.random.default_rng(seed)
        self.calls: list[Call] = []
        self.read_only_calls: list[int] = []  # index in `calls` of each call with read-only arrays
        self.returned: list[tuple[AnyArray, AnyArray]] = []  # returned array, and a copy of it
        self.answers: list[tuple[int, CallAnswer]] = []  # index in `calls`, answer
        self.compared = 0  # how many numbers were compared
        self.error_ratio = 0.0  # largest ratio error / error bound
        self.grade = "A"
        self.first_answer: CallAnswer | None = None
        self.expected_cache: list[tuple[Call, str, dict[str, ExpectedArray]]] = []

    def run(self, call: Call, *, read_only: bool = False) -> CallAnswer:
        """Run `call` and return the answer.

        Raises CheckFailed if the implementation raises, and UnclaimedSettings if it does not claim
        the settings of the call.
        """
        if not is_claimed(self.implementation, call):
            raise UnclaimedSettings
        self.read_only_calls += [len(self.calls)] * read_only
        self.calls.append(call)
        passed = copy_call(call, read_only)
        try:
            parts = self.run_silently(passed)
        except FOREIGN_ERRORS as error:  # conformance-R13
            message = " ".join(f"{type(error).__name__}: {error}".split())
            raise CheckFailed(f"raised {message[:300]}", self.evidence(kind="raised")) from error
        self.check_common_rules(call, passed, parts)
        got = CallAnswer(call, {name: np.array(x) for name, x in parts.items()})
        self.returned += [(x, got[name]) for name, x in parts.items()]
        self.answers.append((len(self.calls) - 1, got))
        self.first_answer = self.first_answer or got
        return got

    def run_silently(self, call: Call) -> dict[str, AnyArray]:
        """Return the answer to `call`. Warnings, such as NumPy's overflow warning, are hidden."""
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.implementation.answer(call)

    def check_common_rules(self, call: Call, passed: Call, parts: Mapping[str, AnyArray]) -> None:
        """Raise CommonRuleFailed for a changed input, shared memory or a wrong dtype."""

        def broken(rule: str, message: str) -> CommonRuleFailed:
            return CommonRuleFailed(rule, message, self.evidence(kind="common_rule"))

        before, after = named_arrays(call_arrays(call)), named_arrays(call_arrays(passed))
        for name, x in before.items():
            if x.tobytes() != after[name].tobytes():
                raise broken("numerics-R7", f"the input {name} was written to")
        changed = [x for x, copy in self.returned if x.tobytes() != copy.tobytes()]
        if changed:
            raise broken("backend-R12", "an earlier result was changed")
        arrays = [*after.values(), *(k for k, _ in self.returned)]
        for part, x in parts.items():
            if any(np.shares_memory(x, y) for y in arrays):
                message = f"{part} shares memory with an input or an earlier result"
                raise broken("backend-R12", message)
            if part not in ("rows", "active") and x.dtype != call.dtype:
                message = f"{part} has dtype {x.dtype}, expected {call.dtype} as the inputs"
                raise broken("numerics-R2", message)

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
            with self.record_source(second, name, change):
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
            with self.record_source(second, name, change):
                self.assert_exact(first, name, change(second[name]))

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
        """Raise PropertyOnWrongAnswers if the answer to the first call is not the reference's."""
        if self.first_answer is None:
            return
        try:
            self.assert_matches(self.first_answer)
        except CheckFailed as error:
            raise PropertyOnWrongAnswers(str(error), error.evidence) from error

    def evidence(
        self,
        part: str = "",
        got: AnyArray | None = None,
        want: ExpectedArray | None = None,
        kind: str = "fact",
    ) -> Evidence:
        """Return the data of a failure: calls so far, wrong array and expected interval."""
        call_index = next((i for i, a in self.answers if any(x is got for x in a.values())), -1)
        answers = tuple((i, dict(a)) for i, a in self.answers)
        evidence = Evidence(tuple(self.calls), part, got, call_index=call_index, kind=kind)
        evidence = evidence._replace(read_only=tuple(self.read_only_calls), answers=answers)
        if want is None:
            return evidence
        low, high = want.interval()
        kind = "outside" if call_index >= 0 else "fact"  # -1: `got` was computed from answers
        return evidence._replace(low=low, high=high, kind=kind)


def gather_index(change: Change, x: AnyArray) -> AnyArray | None:
    """If `change` only selects elements of x, return their flat indices in x; otherwise None."""
    index = np.asarray(change(np.arange(x.size).reshape(x.shape)))
    if index.dtype.kind != "i" or not np.isin(index, np.arange(x.size)).all():
        return None
    same = x.reshape(-1)[index].tobytes() == np.asarray(change(x)).tobytes()
    return index if same else None
