"""Diagnose failed checks: find the mutant that makes the same errors, or describe the errors.

The failures of one operator are diagnosed together, on the calls of all of them and on drawn calls.
The report names a mutant that explains at least 99 % of the deviation in every call, and names two
mutants if both together do. If a mutant fits most calls, the report names the other calls.
Otherwise, the report describes the settings, sizes or positions at which the results are wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mindref.conformance.bounds import Precision
from mindref.conformance.mutants import matching, same_failure
from mindref.conformance.mutants.call_pools import (
    FailedCheck,
    control_pool,
    failure_pool,
    join_pools,
)
from mindref.conformance.mutants.call_properties import PROPERTIES, without_property
from mindref.conformance.mutants.call_variants import settings_of, values_of_settings
from mindref.conformance.mutants.conditions import (
    describe_arrays,
    describe_conditions,
    describe_repetition,
    join_levels,
)
from mindref.conformance.mutants.deviation import (
    Pool,
    make_pool,
)
from mindref.conformance.mutants.loader import Mutant, suite_mutants
from mindref.conformance.mutants.matching import HALF, Fit, candidate_mutants, rank_mutants
from mindref.conformance.mutants.rounding import lost_digits
from mindref.conformance.mutants.wrong_calls import MIN_CALLS, NumberErrors, RuleErrors
from mindref.conformance.mutants.wrong_positions import describe_positions
from mindref.conformance.runner.call import Call, Implementation
from mindref.conformance.runner.check import ConformanceCheck, all_checks
from mindref.conformance.runner.drawn_calls import MIN_DRAWN
from mindref.conformance.runner.reference import reference_answer
from mindref.conformance.runner.result import CheckResult

NAMED = "your result equals the reference with"
NO_MATCH = "no match among the known mistakes"

COMMON_RULES = tuple(f"{rule}: " for rule in same_failure.COMMON_RULES)
"""Starts of messages about rules of all operators."""

MORE_DRAWN = 16
"""Number of drawn calls if a single check failed."""


MAX_NAMES = 3

MIN_MISSED = 2
"""A condition of the calls that a mutant misses rests on this number of calls, and MIN_CALLS."""

LONG_AXIS = re.compile(r"right at (\w+) = (\d+), wrong at \w+ = (\d+)$")  # conformance-R19
SIZE_TEXT = (
    "Right at {0} = {1}, wrong at {0} = {2}: look for a block, table or counter of this size."
)
"""Pattern of a message about a long axis. Known mistakes are wrong on short axes, too."""


def diagnose_failures(
    implementation: Implementation, results: Sequence[CheckResult], seed: int = 0
) -> dict[str, str]:
    """Return name of the check -> diagnosis, for failed checks in one precision."""
    checks = {check.name: check for check in all_checks()}
    texts: dict[str, str] = {}
    groups: dict[tuple[str, bool], list[FailedCheck]] = {}
    right_answers: list[FailedCheck] = []
    for result in results:
        check, size = checks[result.check], LONG_AXIS.search(result.message)
        if result.evidence is not None and result.evidence.kind == "answered":
            texts[check.name] = diagnose_answer(implementation, check, result)
        elif size is not None:
            texts[check.name] = f"{NO_MATCH}. {SIZE_TEXT.format(*size.groups())}"
        else:
            count = MIN_DRAWN if len(results) > 1 else MORE_DRAWN
            pool = failure_pool(implementation, check, result, count, seed)
            failure = FailedCheck(check, result, pool)
            group = groups.setdefault((check.stem, pool.gradients), [])
            (group if pool.wrong_calls else right_answers).append(failure)
    mutants: list[Mutant] = []
    for failures in groups.values():
        if failures:
            text, explaining = diagnose_group(implementation, failures, seed)
            mutants += explaining
            texts |= {failure.check.name: text for failure in failures}
    for check, result, pool in right_answers:
        text = same_failure.diagnose_right_answers(implementation, result, mutants, seed)
        phrases = rule_phrases(implementation, result, pool)
        common = result.message.startswith(COMMON_RULES)
        texts[check.name] = text or no_match_text(check, [], phrases, breaks_common_rule=common)
    return texts


def diagnose_answer(
    implementation: Implementation, check: ConformanceCheck, result: CheckResult
) -> str:
    """Return the diagnosis of invalid calls that raised no error, from these calls only."""
    calls = result.evidence.calls if result.evidence is not None else ()
    refused = [call for call in calls if reference_raises(call)]
    pool = make_pool(implementation, refused, [None] * len(refused))
    fits = rank_mutants(pool, candidate_mutants([check])) if pool.wrong_calls else []
    complete = [fit for fit in fits if fit.is_complete]
    if complete:
        return named_text(complete, "in the calls of this failure")
    return no_match_text(check, fits)


def reference_raises(call: Call) -> bool:
    """Return whether the reference raises an error for `call`."""
    try:
        reference_answer(call)
    except Exception:
        return True
    return False


def diagnose_group(
    implementation: Implementation, failures: Sequence[FailedCheck], seed: int
) -> tuple[str, list[Mutant]]:
    """Return the diagnosis of failures of one operator, all of results or all of gradients.

    The list contains the mutants that the diagnosis names.
    """
    checks = [failure.check for failure in failures]
    control = control_pool(implementation, failures, seed)
    pool = join_pools([*(failure.pool for failure in failures), control])
    candidates = candidate_mutants(checks, implementation)
    precision = Precision.of(failures[0].result.precision.split("/"))
    repeats = describe_repetition(implementation, pool)
    fits = rank_mutants(pool, candidates)
    complete = [fit for fit in fits if fit.is_complete]
    count = len(pool.calls)
    support = "over 1 call" if count == 1 else f"over {count} calls"
    if complete:
        rules = [rule for check in checks for rule in check.rules]
        chosen = matching.break_ties(implementation, pool, complete, precision, rules)
        if chosen:  # conformance-R16
            return named_text(chosen, support), [fit.mutant for fit in chosen]
        fits = [fit for fit in fits if not fit.is_complete]
    both = matching.find_pair(pool, fits, candidates)
    if both is not None:  # conformance-R33
        text = f"{NAMED} these two mistakes: {describe_mutant(both.mutant)} ({support})"
        return text, [both.mutant]
    for fit in fits[:MAX_NAMES]:
        if text := partial_text(pool, fit):  # conformance-R30
            return text, [fit.mutant]
    for mutant, equal, total in lost_digits(pool, candidates)[:1]:
        mistake = f"your errors are as large as with this mistake: {describe_mutant(mutant)}"
        return f"{mistake} (in {equal} of {total} wrong calls)", [mutant]  # conformance-R30
    subject = NumberErrors(implementation, precision, pool.gradients)
    wrong = [pool.calls[index] for index in pool.wrong_calls]
    phrases = same_failure.first_wrong_steps(failures, precision) or repeats
    phrases = phrases or describe_conditions(subject, wrong, pool.calls)
    phrases += describe_positions(pool) or describe_arrays(pool)
    return no_match_text(failures[0].check, fits, phrases[:MAX_NAMES], pool.gradients), []


def rule_phrases(implementation: Implementation, result: CheckResult, pool: Pool) -> list[str]:
    """Return sentences about the calls that break a rule of all operators."""
    subject = RuleErrors(implementation, Precision.of(result.precision.split("/")))
    wrong = [call for call in pool.calls if subject.is_wrong(call)]
    return describe_conditions(subject, wrong, pool.calls) if wrong else []


def named_text(fits: Sequence[Fit], support: str) -> str:
    """Return the text that names the mutants `fits`, which no call distinguishes."""
    names = "; or, no different on these calls: ".join(
        describe_mutant(fit.mutant) for fit in fits[:MAX_NAMES]
    )
    share = f"{100 * fits[0].share:.1f} % of the residual {support}"
    return f"{NAMED} this mistake: {names} ({share})"


def describe_mutant(mutant: Mutant) -> str:
    """Return a text: the mistake, the name, the broken rule, and public code with the mistake."""
    seen = f", seen in {mutant.seen}" if mutant.seen else ""
    return f"{mutant.description} [{mutant.name}, {mutant.rule}{seen}]"


def partial_text(pool: Pool, fit: Fit) -> str:
    """Return the text that names a mutant that fits most calls, and the calls that it misses.

    Return "" if the mutant fits fewer calls. If all misses have a condition in common, only the
    wrong calls count.
    """
    wrong = pool.wrong_calls
    condition = common_condition(pool, fit)
    close, tested = fit.num_close(wrong), wrong if condition else [*fit.similarities]
    if not fit.misfits or close < max(MIN_CALLS, matching.MOST * len(tested)):
        return ""
    text = f"{NAMED} this mistake in {close} of {len(wrong)} wrong calls: "
    num_refuted = sum(call not in wrong for call in fit.misfits)
    missed = f"; it would make {num_refuted} right calls wrong" if num_refuted else ""
    missed = f"; not in calls {condition}" if condition else missed
    return text + describe_mutant(fit.mutant) + missed


def common_condition(pool: Pool, fit: Fit) -> str:
    """Return a setting or property of exactly the calls that a mutant misses, or ""."""
    misfits = set(fit.misfits)
    if not MIN_MISSED <= len(misfits) <= len(fit.similarities) - MIN_CALLS:
        return ""
    calls = {index: pool.calls[index] for index in fit.similarities}
    for name in PROPERTIES:
        concerned = {i for i, call in calls.items() if without_property(call, name) is not None}
        if concerned == misfits:
            return f"with {name}"
        if concerned == calls.keys() - misfits:
            return f"without {name}"
    for name, values in values_of_settings(list(calls.values())).items():
        for value in values:
            if {i for i, call in calls.items() if settings_of(call).get(name) == value} == misfits:
                return f"with {name} = {join_levels([value])}"
    return ""


def no_match_text(
    check: ConformanceCheck,
    fits: Sequence[Fit],
    phrases: Sequence[str] = (),
    gradients: bool = False,
    breaks_common_rule: bool = False,
) -> str:
    """Return the text of a failure without a known mistake: wrong cases, nearest mutant.

    breaks_common_rule: a rule of all operators is broken, not the first rule of `check`.
    """
    text = NO_MATCH
    if fits and fits[0].share > HALF:
        nearest = fits[0]
        text += f"; nearest: {describe_mutant(nearest.mutant)} ({100 * nearest.share:.0f} %)"
    if phrases:
        array_kind = "gradients" if gradients else "results"
        return f"{text}. {' '.join(phrase_sentence(phrase, array_kind) for phrase in phrases)}"
    breaking = [v.description for v in suite_mutants() if v.rule == check.rules[0]]
    if breaking and not breaks_common_rule:
        text += f"; mistakes that break {check.rules[0]}: " + "; ".join(breaking[:MAX_NAMES])
    return text


def phrase_sentence(phrase: str, array_kind: str) -> str:
    """Return `phrase` as a sentence about the results or gradients."""
    if phrase.startswith(("right ", "wrong ")):
        phrase = f"the {array_kind} are {phrase}"
    return f"{phrase[0].upper()}{phrase[1:]}."
