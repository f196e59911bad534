"""Checks against the golden values; they test the reference like any other backend.

The numbers are from files (mindref/conformance/golden), the error bound is computed at run time.
Options that a backend may leave out do not occur in the golden calls.
"""

from __future__ import annotations

from functools import cache, partial

from hypothesis import strategies as st

from mindref.conformance.bounds import Precision
from mindref.conformance.golden import golden
from mindref.conformance.golden.cases import GOLDEN_CASES
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.check import add_check, name_run
from mindref.conformance.runner.context import CheckContext
from mindref.conformance.runner.reference import ExpectedArray, expected_answer


def golden_calls(stem: str) -> st.SearchStrategy[Call]:
    """Draw one of the golden calls; the file is read when the first one is drawn."""

    def stored_calls() -> st.SearchStrategy[Call]:
        return st.sampled_from([case.call for case in golden.load_cases(stem).values()])

    return st.deferred(stored_calls)


def compare_with_golden(context: CheckContext, call: Call) -> None:
    """Run the call, and compare every part of the answer with the golden one."""
    for mode in ("statistical", "worst"):
        golden_parts = golden_answer(call.stem, golden.case_name(call), context.precision, mode)
        widened = context.widen(golden_parts)
        context.expected_cache.append((call, mode, widened))  # conformance-R15
    context.assert_agrees(call)


@cache
def golden_answer(
    stem: str, name: str, precision: Precision, mode: str
) -> dict[str, ExpectedArray]:
    """Return the golden answer of a case with an error bound for each number."""
    call, answer = golden.load_cases(stem)[name]
    of_the_day = expected_answer(call, precision, mode)
    return {part: of_the_day[part]._replace(value=x) for part, x in answer.items()}


def add_golden_checks() -> None:
    """Register a check of each stem."""
    for stem, cases in GOLDEN_CASES.items():
        page = {"interests": "model", "loss": "model", "training": "optimiser"}.get(stem, stem)
        name = "interests_match" if stem == "interests" else f"{stem}_matches"
        text = f"{cases.subject} must match the golden values."
        run = name_run(partial(compare_with_golden), __name__, name, text)
        gradient = stem not in ("interests", "training")
        rules = f"{page}-{cases.rules}"
        add_check(rules, draws=golden_calls(stem), stem=stem, gradient=gradient)(run)


add_golden_checks()
