"""Compare a backend with the golden values, which are files in mindref/conformance/golden.

The stored calls use no optional feature of a backend.
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
    """Draw stored calls of `stem`: an operator, "interests", "loss" or "training"."""

    def stored_calls() -> st.SearchStrategy[Call]:
        return st.sampled_from([case.call for case in golden.load_cases(stem).values()])

    return st.deferred(stored_calls)


def compare_with_golden(context: CheckContext, call: Call) -> None:
    """Run a stored call, and compare every array of the result with the golden values."""
    for mode in ("statistical", "worst"):
        golden_parts = golden_answer(call.stem, golden.case_name(call), context.precision, mode)
        widened = context.widen(golden_parts)
        context.expected_cache.append((call, mode, widened))  # conformance-R15
    context.assert_agrees(call)


@cache
def golden_answer(
    stem: str, name: str, precision: Precision, mode: str
) -> dict[str, ExpectedArray]:
    """Return the golden values of call `name`, with error bounds for this precision and mode."""
    call, answer = golden.load_cases(stem)[name]
    expected = expected_answer(call, precision, mode)
    return {part: expected[part]._replace(value=x) for part, x in answer.items()}


def add_golden_checks() -> None:
    """Register one check for each entry of `GOLDEN_CASES`."""
    for stem, cases in GOLDEN_CASES.items():
        page = {"interests": "model", "loss": "model", "training": "optimiser"}.get(stem, stem)
        name = "interests_match" if stem == "interests" else f"{stem}_matches"
        text = f"{cases.subject} must match the golden values."
        run = name_run(partial(compare_with_golden), __name__, name, text)
        add = add_check(
            f"{page}-{cases.rules}",
            draws=golden_calls(stem),
            stem=stem,
            gradient=stem not in ("interests", "training"),
            fraction=cases.fraction,
        )
        add(run)


add_golden_checks()
