"""Decide whether a call is wrong, for the sentences of the diagnosis."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from mindref.conformance.bounds import Precision
from mindref.conformance.mutants.deviation import (
    deviation_of,
    expected_or_none,
    precision_of_call,
)
from mindref.conformance.runner.call import Call, Implementation
from mindref.conformance.runner.context import CheckContext
from mindref.conformance.runner.reference import expected_answer
from mindref.conformance.runner.result import CheckFailed, CommonRuleFailed

MIN_CALLS = 3  # conformance-R32
"""A sentence rests on at least this many wrong calls, with right variants or right positions."""

FAR_OUTSIDE = 100.0
"""An error above this multiple of the statistical bound is not compared with the worst case."""


class Subject(Protocol):
    """Decides whether a call is wrong."""

    @property
    def implementation(self) -> Implementation:
        """The implementation that answers the calls."""

    def is_wrong(self, call: Call) -> bool | None:
        """Return whether the answer to `call` is wrong; None if the call is invalid."""


class NumberErrors(NamedTuple):
    """A call is wrong if a number of the implementation is outside its error bound."""

    implementation: Implementation
    precision: Precision
    gradients: bool  # whether gradients are compared

    def is_wrong(self, call: Call) -> bool | None:
        """Return whether the answer to `call` is wrong; None if the reference raises an error."""
        call = call if self.gradients else call.forward_only()
        want = expected_or_none(call, self.precision)
        if want is None:
            return None
        parts = deviation_of(self.implementation, [call], [want], self.gradients)
        wrong = {name: part for (_, name), part in parts.items() if part.wrong.any()}
        with np.errstate(all="ignore"):
            if not wrong or any(
                np.nanmax(np.abs(part.deviation) / part.allowed) > FAR_OUTSIDE
                for part in wrong.values()
            ):
                return bool(wrong)
        worst = expected_answer(call, precision_of_call(call, self.precision), "worst")
        return any(
            (np.abs(part.deviation) > np.maximum(worst[name].allowed, part.allowed)).any()
            for name, part in wrong.items()
        )


class RuleErrors(NamedTuple):
    """A call is wrong if it breaks a rule of all operators, such as writing to an input."""

    implementation: Implementation
    precision: Precision

    def is_wrong(self, call: Call) -> bool | None:
        """Return whether `call` breaks a common rule; None if the reference raises an error."""
        if expected_or_none(call, self.precision) is None:
            return None
        context = CheckContext(self.implementation, self.precision, 0)
        try:
            context.run(call)
            context.run(call)
        except CommonRuleFailed:
            return True
        except CheckFailed:
            return None
        return False
