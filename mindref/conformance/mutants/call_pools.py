"""Pools of calls for the diagnosis: of a failure, of all failures, and of other checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mindref.conformance.bounds import Precision
from mindref.conformance.mutants.deviation import (
    Parts,
    Pool,
    deviation_of,
    expected_or_none,
    make_pool,
)
from mindref.conformance.runner.call import (
    BackendImplementation,
    Call,
    Implementation,
    is_claimed,
)
from mindref.conformance.runner.check import ConformanceCheck, all_checks
from mindref.conformance.runner.drawn_calls import MIN_DRAWN, draw_calls
from mindref.conformance.runner.plan import unclaimed_reason
from mindref.conformance.runner.reference import CallKey, ExpectedArray
from mindref.conformance.runner.result import CheckResult

MAX_WRONG, MAX_SLOW, MAX_RIGHT = 8, 4, 4
"""Most wrong calls of one failure that are compared (MAX_SLOW: of a model), and right calls."""


CONTROLS = 3, 60
"""Number of compared calls of each other check of the operator, and of all of them.

Of a training, 1 and MAX_SLOW.
"""


class FailedCheck(NamedTuple):
    """A failed check, and the calls to compare: those of the failure, and drawn ones."""

    check: ConformanceCheck
    result: CheckResult
    pool: Pool


def failure_pool(
    implementation: Implementation,
    check: ConformanceCheck,
    result: CheckResult,
    count: int,
    seed: int,
) -> Pool:
    """Return calls of the failure, and `count` drawn calls of the check, without repetitions."""
    precision = Precision.of(result.precision.split("/"))
    calls = evidence_calls(result)
    if check.shrinks:  # otherwise, calls are long
        calls += [call.to(precision.input) for call in draw_calls(check, count, seed)]
    different = list({CallKey(call, precision, ""): call for call in calls}.values())
    expected = [expected_or_none(call, precision) for call in different]
    valid = [index for index, want in enumerate(expected) if want is not None]
    pool = make_pool(implementation, [different[i] for i in valid], [expected[i] for i in valid])
    wrong = pool.wrong_calls
    right = [index for index in range(len(pool.calls)) if index not in wrong]
    is_slow = check.level != "ops"
    return pool.select(wrong[: MAX_SLOW if is_slow else MAX_WRONG] + right[:MAX_RIGHT])


def evidence_calls(result: CheckResult) -> list[Call]:
    """Return the call with the wrong answer, and the first and last call of a failure."""
    evidence = result.evidence
    if evidence is None or not evidence.calls:
        return []
    indices = dict.fromkeys((evidence.call_index, 0, 1, len(evidence.calls) - 1))
    calls = [evidence.calls[index] for index in indices if index < len(evidence.calls)]
    return [call for call in calls if call.stem != "steps"]


def control_pool(
    implementation: Implementation, failures: Sequence[FailedCheck], seed: int
) -> Pool:
    """Return drawn calls of other agreement checks of the operator, without refused calls.

    A mutant that is wrong where the implementation is right is not the mistake.
    """
    stem, gradients = failures[0].check.stem, failures[0].pool.gradients
    precision = Precision.of(failures[0].result.precision.split("/"))
    failed = {failure.check.name for failure in failures}
    checks = [
        check
        for check in all_checks()
        if check.stem == stem
        and check.agreement
        and check.shrinks
        and check.name not in failed
        and is_tested(check, implementation)
    ]
    count, most = (1, MAX_SLOW) if failures[0].check.level == "train" else CONTROLS
    calls = [
        call.to(precision.input)
        for check in checks
        for call in draw_calls(check, MIN_DRAWN, seed)[1 : 1 + count]
        if is_claimed(implementation, call) and (check.gradient or not gradients)
    ]
    calls = calls[:most] if gradients else [call.forward_only() for call in calls[:most]]
    wants = [expected_or_none(call, precision) for call in calls]
    parts = deviation_of(implementation, calls, wants, gradients)
    refused = {index for (index, _), part in parts.items() if np.isinf(part.deviation).all()}
    valid = [i for i, want in enumerate(wants) if want is not None and i not in refused]
    return Pool(calls, wants, parts, gradients).select(valid)


def is_tested(check: ConformanceCheck, implementation: Implementation) -> bool:
    """Return whether the check needs only features that the implementation claims."""
    if not isinstance(implementation, BackendImplementation):
        return True
    return not unclaimed_reason(check, implementation)


def join_pools(pools: Sequence[Pool]) -> Pool:
    """Return one pool with the calls of `pools`, in this order."""
    calls: list[Call] = []
    expected: list[dict[str, ExpectedArray] | None] = []
    parts: Parts = {}
    for pool in pools:
        parts |= {(len(calls) + c, name): part for (c, name), part in pool.parts.items()}
        calls += pool.calls
        expected += pool.expected
    return Pool(calls, expected, parts, pools[0].gradients)
