"""Checks against the golden values; they test the reference like any other backend.

The numbers are from files (mindref/conformance/golden), the error bound is computed at run time.
Options that a backend may leave out do not occur in the golden calls.
"""

from __future__ import annotations

from functools import cache

from hypothesis import strategies as st

from mindref.conformance.bounds import Precision
from mindref.conformance.golden import golden
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.check import add_check
from mindref.conformance.runner.context import CheckContext
from mindref.conformance.runner.reference import ExpectedArray, expected_answer


def golden_calls(stem: str) -> st.SearchStrategy[Call]:
    """Draw one of the golden calls; the file is read when the first one is drawn."""
    return st.deferred(
        lambda: st.sampled_from([case.call for case in golden.load_cases(stem).values()])
    )


def compare_with_golden(context: CheckContext, call: Call) -> None:
    """Run the call, and compare every part of the answer with the golden one."""
    for mode in ("statistical", "worst"):
        golden_parts = golden_answer(call.stem, golden.case_name(call), context.precision, mode)
        golden_parts = {
            n: e._replace(allowed=context.factor * e.allowed) for n, e in golden_parts.items()
        }
        context.expected_cache.append((call, mode, golden_parts))  # conformance-R15
    context.assert_agrees(call)


@cache
def golden_answer(
    stem: str, name: str, precision: Precision, mode: str
) -> dict[str, ExpectedArray]:
    """Return the golden answer of a case with an error bound for each number."""
    call, answer = golden.load_cases(stem)[name]
    of_the_day = expected_answer(call, precision, mode)
    return {part: of_the_day[part]._replace(value=x) for part, x in answer.items()}


@add_check(
    "embedding-R1", "embedding-R3", draws=golden_calls("embedding"), stem="embedding", gradient=True
)
def embedding_matches(context: CheckContext, call: Call) -> None:
    """Item vectors and their gradients must match the golden values."""
    compare_with_golden(context, call)


@add_check("softmax-R1", "softmax-R5", draws=golden_calls("softmax"), stem="softmax", gradient=True)
def softmax_matches(context: CheckContext, call: Call) -> None:
    """Weights and their gradients must match the golden values."""
    compare_with_golden(context, call)


@add_check("squash-R1", "squash-R2", draws=golden_calls("squash"), stem="squash", gradient=True)
def squash_matches(context: CheckContext, call: Call) -> None:
    """Squashed vectors and their gradients must match the golden values."""
    compare_with_golden(context, call)


@add_check(
    *("routing-R5", "routing-R3", "routing-R4", "routing-R8", "routing-R11", "routing-R12"),
    draws=golden_calls("routing"),
    stem="routing",
    gradient=True,
)
def routing_matches(context: CheckContext, call: Call) -> None:
    """Capsules, coupling weights and both kinds of gradients must match the golden values."""
    compare_with_golden(context, call)


@add_check(
    *("relu_layer-R1", "relu_layer-R2", "relu_layer-R4"),
    draws=golden_calls("relu_layer"),
    stem="relu_layer",
    gradient=True,
)
def relu_layer_matches(context: CheckContext, call: Call) -> None:
    """Layer outputs and gradients, with and without ReLU, must match the golden values."""
    compare_with_golden(context, call)


@add_check(
    *("label_attention-R3", "label_attention-R2", "label_attention-R8", "label_attention-R9"),
    draws=golden_calls("label_attention"),
    stem="label_attention",
    gradient=True,
)
def label_attention_matches(context: CheckContext, call: Call) -> None:
    """User vectors and their gradients, for five powers, must match the golden values."""
    compare_with_golden(context, call)


@add_check(
    *("sampled_softmax-R1", "sampled_softmax-R2", "sampled_softmax-R3", "sampled_softmax-R11"),
    draws=golden_calls("sampled_softmax"),
    stem="sampled_softmax",
    gradient=True,
)
def sampled_softmax_matches(context: CheckContext, call: Call) -> None:
    """Losses and their gradients must match the golden values."""
    compare_with_golden(context, call)


@add_check("model-R4", "model-R5", "model-R6", draws=golden_calls("interests"), stem="interests")
def interests_match(context: CheckContext, call: Call) -> None:
    """The interests of a small model must match the golden values."""
    compare_with_golden(context, call)


@add_check("model-R9", "model-R10", draws=golden_calls("loss"), stem="loss", gradient=True)
def loss_matches(context: CheckContext, call: Call) -> None:
    """The loss of a small model and all its gradients must match the golden values."""
    compare_with_golden(context, call)


@add_check("optimiser-R1", "optimiser-R4", draws=golden_calls("training"), stem="training")
def training_matches(context: CheckContext, call: Call) -> None:
    """Losses and parameters after some steps must match the golden values."""
    compare_with_golden(context, call)
