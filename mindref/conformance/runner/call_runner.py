"""The class `CallRunner`: run the calls of a check, and record them for the report of a failure.

`CallRunner.run` also tests three rules of all operators. A call does not change its inputs.
Answers share no memory with inputs or earlier answers. Answers have the dtype of the inputs.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from mindref.conformance.runner.call import (
    AnyArray,
    Call,
    Implementation,
    call_arrays,
    copy_call,
    is_claimed,
    named_arrays,
)
from mindref.conformance.runner.layouts import memory_of
from mindref.conformance.runner.reference import ExpectedArray
from mindref.conformance.runner.result import (
    CheckFailed,
    CommonRuleFailed,
    Evidence,
    UnclaimedSettings,
)
from mindref.errors import FOREIGN_ERRORS


class CallAnswer(dict[str, AnyArray]):
    """The answer to a call: a dict from names to arrays. The attribute `call` is the call."""

    def __init__(self, call: Call, parts: Mapping[str, AnyArray]) -> None:
        super().__init__(parts)
        self.call = call


class CallRunner:
    """Runs calls on `implementation`, and stores the calls and the answers."""

    def __init__(self, implementation: Implementation) -> None:
        self.implementation = implementation
        self.calls: list[Call] = []
        self.read_only_calls: list[int] = []  # index in `calls` of each call with read-only arrays
        self.layouts: dict[int, str] = {}  # index in `calls` -> layout, if it is not the call's
        self.returned: list[tuple[AnyArray, AnyArray]] = []  # returned array, and a copy of it
        self.answers: list[tuple[int, CallAnswer]] = []  # index in `calls`, answer

    def run(self, call: Call, *, read_only: bool = False, layout: str = "") -> CallAnswer:
        """Run `call` and return the answer. layout: of the arrays in memory (layouts.py).

        Raises CheckFailed if the implementation raises, and UnclaimedSettings if it does not claim
        the settings of the call.
        """
        if not is_claimed(self.implementation, call):
            raise UnclaimedSettings
        self.read_only_calls += [len(self.calls)] * read_only
        self.layouts |= {len(self.calls): layout} if layout else {}
        self.calls.append(call)
        passed = copy_call(call, read_only, layout)
        memory = [bytes_of(x) for x in named_arrays(call_arrays(passed)).values()]
        try:
            parts = self.run_silently(passed)
        except FOREIGN_ERRORS as error:  # conformance-R13
            message = " ".join(f"{type(error).__name__}: {error}".split())
            raise CheckFailed(f"raised {message[:300]}", self.evidence(kind="raised")) from error
        self.check_common_rules(call, passed, memory, parts)
        got = CallAnswer(call, {name: np.array(x) for name, x in parts.items()})
        self.returned += [(x, got[name]) for name, x in parts.items()]
        self.answers.append((len(self.calls) - 1, got))
        return got

    def run_silently(self, call: Call) -> dict[str, AnyArray]:
        """Return the answer to `call`. Warnings, such as NumPy's overflow warning, are hidden."""
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.implementation.answer(call)

    def check_common_rules(
        self, call: Call, passed: Call, memory: Sequence[bytes], parts: Mapping[str, AnyArray]
    ) -> None:
        """Raise CommonRuleFailed for a changed input, shared memory or a wrong dtype.

        memory: the bytes of the memory of each passed array before the call, unused bytes included.
        """

        def broken(rule: str, message: str) -> CommonRuleFailed:
            return CommonRuleFailed(rule, message, self.evidence(kind="common_rule"))

        after = named_arrays(call_arrays(passed))
        for (name, x), before in zip(after.items(), memory, strict=True):
            if bytes_of(x) != before:
                raise broken("numerics-R7", f"the input {name} was written to")
        changed = [x for x, copy in self.returned if x.tobytes() != copy.tobytes()]
        if changed:
            raise broken("backend-R12", "an earlier result was changed")
        arrays = [*after.values(), *(k for k, _ in self.returned)]
        for part, x in parts.items():
            if any(np.shares_memory(x, y) for y in arrays):
                message = f"{part} shares memory with an input or an earlier result"
                raise broken("backend-R12", message)
            if part not in ("rows", "active", "step") and x.dtype != call.dtype:
                message = f"{part} has dtype {x.dtype}, expected {call.dtype} as the inputs"
                raise broken("numerics-R2", message)

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
        evidence = evidence._replace(
            read_only=tuple(self.read_only_calls),
            layouts=tuple(self.layouts.items()),
            answers=answers,
        )
        if want is None:
            return evidence
        low, high = want.interval()
        kind = "outside" if call_index >= 0 else "fact"  # -1: `got` was computed from answers
        return evidence._replace(low=low, high=high, kind=kind)


def bytes_of(x: AnyArray) -> bytes:
    """Return the bytes of the memory of `x`, with those between its numbers if it is a view."""
    return memory_of(x).tobytes(order="A")
