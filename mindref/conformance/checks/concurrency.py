"""Checks of callers in several threads, of the child of a fork, and of threads of the backend.

Spec: specs/backend.md, R18, R22 and R23, and specs/numerics.md, R8. All calls of a check have the
same shapes, because a buffer that is shared by mistake often belongs to a shape.
"""

from __future__ import annotations

from functools import partial

from hypothesis import strategies as st

from mindref.conformance.draws.callers import (
    CALLS,
    LARGE,
    MEDIUM,
    SMALL,
    model_callers,
    operator_callers,
    score_callers,
    single_model_callers,
    small_training,
    training_callers,
)
from mindref.conformance.draws.model_draws import loss_call, serving_call
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.check import Run, add_check, name_run
from mindref.conformance.runner.context import CheckContext

MODEL_SIZES = (5, 17, 3, 4)
"""B, L, K and D. 17 behaviours give up to four interests by equation 9."""

WAIT = 0.02
"""Seconds until a state is read again."""


def threads_match(context: CheckContext, call: Call) -> None:
    """Compare the answers of concurrent callers with those of callers in turn."""
    single = context.run(call)
    fresh = 1 if getattr(context.implementation, "loads_anew", False) else 0
    context.assert_equal(context.run(call.change(mode="threads", fresh=fresh)), single)


def fork_matches(context: CheckContext, call: Call) -> None:
    """Compare the answers of the child of a fork with those of the parent."""
    single = context.run(call)
    context.assert_equal(context.run(call.change(mode="fork")), single)


def repeats_match(context: CheckContext, call: Call) -> None:
    """Compare the answers of repeated calls with the first answer."""
    first = context.run(call)
    context.assert_equal(context.run(call.change(mode="again")), first)


def register(
    run: Run,
    name: str,
    text: str,
    rule: str,
    stem: str,
    draws: st.SearchStrategy[Call],
    concurrency: str = "",
) -> None:
    """Register a check; its name ends with the operator or method, such as `[routing]`."""
    check_function = name_run(partial(run), __name__, f"{name}[{stem}]", text)
    add_check(
        rule,
        stem=stem,
        draws=draws,
        gradient=True,
        fraction=0.2,
        shrinks=False,
        concurrency=concurrency,
    )(check_function)


def register_threads(stem: str, draws: st.SearchStrategy[Call]) -> None:
    """Register the check of callers in several threads."""
    text = "Callers in several threads must get the same bytes as a single caller."
    name = "concurrent_callers_get_the_bytes_of_one_caller"
    register(threads_match, name, text, "backend-R18", stem, draws, "threads")


def register_fork(stem: str, draws: st.SearchStrategy[Call]) -> None:
    """Register the check of the child of a fork."""
    text = "The child of a fork must get the same bytes as its parent, which made the same calls."
    name = "child_of_a_fork_gets_the_bytes_of_its_parent"
    register(fork_matches, name, text, "backend-R22", stem, draws, "fork")


def register_repeats(stem: str, draws: st.SearchStrategy[Call]) -> None:
    """Register the check of repeated large calls of one caller."""
    text = "A repeated large call must give the same bytes, also if the backend uses threads."
    register(repeats_match, "large_calls_repeat_their_bytes", text, "numerics-R8", stem, draws)


def register_thousand(stem: str, draws: st.SearchStrategy[Call]) -> None:
    """Register the check of a thousand equal calls."""
    text = "Each of a thousand equal calls must give the same bytes."
    register(repeats_match, "a_thousand_calls_are_equal", text, "numerics-R8", stem, draws)


def register_concurrency_checks() -> None:
    """Register the checks of each operator and of the levels `model` and `train`."""
    for stem in CALLS:
        register_repeats(stem, operator_callers(stem, LARGE[stem], count=1, repeats=10))
    for stem in CALLS:
        register_thousand(stem, operator_callers(stem, SMALL[stem], count=1, repeats=1_000))
    register_repeats("loss", single_model_callers(loss_call, (67, 9, 3, 5), repeats=10))
    register_repeats("scores", score_callers((131, 3, 2, 67), count=1, repeats=10))
    register_thousand("loss", single_model_callers(loss_call, (2, 5, 2, 3), repeats=1_000))
    register_thousand("interests", single_model_callers(serving_call, (2, 5, 2, 3), repeats=1_000))
    register_thousand("scores", score_callers((2, 3, 2, 5), count=1, repeats=1_000))
    for stem in CALLS:
        register_threads(stem, operator_callers(stem, MEDIUM[stem], repeats=24))
    for stem, make in (("loss", loss_call), ("interests", serving_call)):
        register_threads(stem, model_callers(make, MODEL_SIZES, repeats=4))
    register_threads("training", training_callers(repeats=2))
    register_threads("scores", score_callers((19, 5, 3, 67), repeats=24))
    for stem in CALLS:
        register_fork(stem, operator_callers(stem, LARGE[stem], count=1))
    for stem, make in (("loss", loss_call), ("interests", serving_call)):
        register_fork(stem, model_callers(make, MODEL_SIZES))
    register_fork("training", training_callers(count=1))
    register_fork("scores", score_callers((131, 3, 2, 67), count=1))


@add_check("backend-R23", "optimiser-R4", stem="training", draws=small_training(), fraction=0.4)
def state_is_complete_when_step_returns(context: CheckContext, call: Call) -> None:
    """Parameters and moments that are read at once after a step must equal those read later."""
    context.run(call)
    numbers = {"config": call.numbers["config"], "wait": WAIT}
    numbers["rates"] = (call.numbers["learning_rate"],) * len(call.arrays["batches"])
    later = context.run(call._replace(stem="steps", numbers=numbers))
    for _ in range(3):
        context.assert_equal(context.run(later.call.change(wait=0.0)), later)


register_concurrency_checks()
