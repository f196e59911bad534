"""Diagnose failures in which every number of a single call is right.

Examples are a result that shares memory, a result that depends on earlier calls, and a step of a
training that does not follow from the state before it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from mindref.conformance.bounds import Precision
from mindref.conformance.mutants.call_pools import FailedCheck
from mindref.conformance.mutants.deviation import (
    deviation_of,
    expected_or_none,
    part_of,
)
from mindref.conformance.mutants.loader import Mutant, suite_mutants
from mindref.conformance.mutants.matching import mutant_implementation
from mindref.conformance.runner.call import AnyArray, Call, Implementation
from mindref.conformance.runner.check import ConformanceCheck, all_checks
from mindref.conformance.runner.check_runner import ExampleBudget, run_check
from mindref.conformance.runner.context import CallAnswer, CheckContext
from mindref.conformance.runner.reference import ExpectedArray
from mindref.conformance.runner.result import CheckFailed, CheckResult, Evidence

Expected = Mapping[str, ExpectedArray] | None
"""The expected answer of a call, or None if there is none."""

COMMON_RULES = ("numerics-R2", "numerics-R7", "numerics-R8", "backend-R12")
"""Rules of all operators whose mutants may fail in any check."""

EXAMPLES, MAX_NAMES = 5, 2

ROUNDINGS = 2.0
"""Steps that differ from the reference by less than this multiple of eps are not wrong."""

ABOUT_NUMBERS = re.compile(r" expected |relative error")
"""Matches messages about wrong numbers. Many mistakes have them."""


def diagnose_right_answers(
    implementation: Implementation, result: CheckResult, explaining: Sequence[Mutant], seed: int
) -> str:
    """Return the diagnosis of a failure whose calls are right when each runs alone, or "".

    explaining: mutants that explain other failures of the same run.
    """
    check = next(c for c in all_checks() if c.name == result.check)
    evidence = result.evidence
    if evidence is None:
        return ""
    precision = Precision.of(result.precision.split("/"))
    phrases = [first_wrong_step(evidence, precision), *layout_phrase(implementation, result)]
    text = " ".join(phrase for phrase in phrases if phrase)
    if not text:
        alike = mutants_with_same_failure(check, result, explaining, precision, seed)
        if alike:
            names = "; or: ".join(f"{m.description} [{m.name}, {m.rule}]" for m in alike)
            return f"your backend fails as the reference with this mistake: {names}"
        text = earlier_calls_phrase(implementation, evidence, precision)
    return f"no match among the known mistakes. {text}" if text else ""


def mutants_with_same_failure(
    check: ConformanceCheck,
    result: CheckResult,
    explaining: Sequence[Mutant],
    precision: Precision,
    seed: int,
) -> list[Mutant]:
    """Return mutants that fail the check with the same message, apart from its numbers.

    Mutants in `explaining` are tried first. If the message is about numbers, only these are tried.
    """
    rules = (*check.rules, *COMMON_RULES)
    candidates = [mutant for mutant in suite_mutants() if mutant.rule in rules]
    for mutants in (explaining, () if ABOUT_NUMBERS.search(result.message) else candidates):
        alike = [m for m in mutants if has_same_failure(m, check, result, precision, seed)]
        if alike:
            return alike[:MAX_NAMES]
    return []


def has_same_failure(
    mutant: Mutant, check: ConformanceCheck, result: CheckResult, precision: Precision, seed: int
) -> bool:
    """Return whether `mutant` fails the check with the message of `result`, without numbers."""
    implementation = mutant_implementation(mutant, is_operator=False)
    budget = ExampleBudget(EXAMPLES, seed, shrink=False, any_failure=True)
    outcome = run_check(check, implementation, precision, budget)
    return outcome.status != "passed" and without_numbers(outcome) == without_numbers(result)


def without_numbers(result: CheckResult) -> str:
    """Return the message of a failure without numbers and without a rule at its start."""
    message = re.sub(r"^[\w]+-R\d+: ", "", result.message)
    return re.sub(r"[-+]?\d[\d.e+-]*|\bnan\b|\binf\b", "#", message)


def first_wrong_steps(failures: Sequence[FailedCheck], precision: Precision) -> list[str]:
    """Return a phrase about the first wrong step of each failed training of many steps."""
    evidences = [failure.result.evidence for failure in failures]
    texts = [first_wrong_step(e, precision) for e in evidences if e is not None]
    return [text.removesuffix(".") for text in texts if text]


def first_wrong_step(evidence: Evidence, precision: Precision) -> str:
    """Return a sentence that names the first wrong step of a long training, or ""."""
    if evidence.training is None:
        return ""
    from mindref.conformance.checks import many_steps

    call, got = evidence.training[0], CallAnswer(*evidence.training)
    count = len(call.arrays["batches"])
    limit = ROUNDINGS * np.finfo(call.dtype).eps
    for step in range(count):
        if not many_steps.step_distance(call, got, step) > limit:
            continue
        single = many_steps.single_step(call, got, step)
        want = expected_or_none(single, precision) or {}
        after = {name: got[name][step] for name in want if name != "losses"}
        after["losses"] = got["losses"][step : step + 1]
        if has_wrong_number(after, want):
            return (
                f"Step {step + 1} of {count} is the first that does not follow from the state"
                f" before it{previous_steps(step)}.{rate_phrase(call, step)}"
            )
    return ""


def previous_steps(step: int) -> str:
    """Return words about the steps before a wrong step."""
    if step == 0:
        return ""
    return f"; steps 1 to {step} do, up to rounding" if step > 1 else "; step 1 does"


def rate_phrase(call: Call, step: int) -> str:
    """Return a sentence if the wrong step is the first step with another learning rate."""
    rates = call.numbers["rates"]
    changes = [index for index, rate in enumerate(rates) if rate != rates[0]]
    return " It is the first step with another learning rate." if changes[:1] == [step] else ""


def layout_phrase(implementation: Implementation, result: CheckResult) -> Sequence[str]:
    """Return a sentence that names layouts in which the answers are wrong."""
    evidence = result.evidence
    if evidence is None or not evidence.layouts:
        return []
    precision = Precision.of(result.precision.split("/"))
    calls = [(call, expected_or_none(call, precision)) for call in distinct_calls(evidence)]

    def is_wrong(call: Call, want: Expected, layout: str) -> bool:
        try:
            answer = CheckContext(implementation, precision, 0).run(call, layout=layout)
        except CheckFailed:
            return False
        return has_wrong_number(answer, want)

    layouts = dict.fromkeys(layout for _, layout in evidence.layouts)
    wrong = [x for x in layouts if any(is_wrong(call, want, x) for call, want in calls)]
    words = ", ".join(f'"{layout}"' for layout in wrong)
    return [f"The results are right in C order, and wrong in the layout {words}."] if wrong else []


def distinct_calls(evidence: Evidence) -> list[Call]:
    """Return the calls of a failure without repetitions of the same object."""
    return list({id(call): call for call in evidence.calls}.values())


def earlier_calls_phrase(
    implementation: Implementation, evidence: Evidence, precision: Precision
) -> str:
    """Return a sentence if a call of the failure was wrong, and is right when it runs again."""
    was_wrong = False
    layouts = dict(evidence.layouts)
    for index, answer in evidence.answers:
        call = evidence.calls[index]
        if index in layouts or call.stem == "steps":
            continue
        want = expected_or_none(call, precision)
        if not has_wrong_number(answer, want):
            continue
        again = deviation_of(implementation, [call], [want])
        if any(part.wrong.any() for part in again.values()):
            return ""
        was_wrong = True
    if not was_wrong:
        return ""
    return "The results depend on earlier calls: each call of this failure is right when repeated."


def has_wrong_number(answer: Mapping[str, AnyArray], want: Expected) -> bool:
    """Return whether an array of `answer` is outside its bounds; false if `want` is None."""
    names = [name for name in want or {} if name in answer]
    return want is not None and any(part_of(answer[n], want[n]).wrong.any() for n in names)
