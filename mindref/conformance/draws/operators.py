"""Register a check for each operator; a name ends with the operator, such as `[routing]`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from hypothesis import strategies as st

from mindref.conformance.checks.embedding import embedding_calls
from mindref.conformance.checks.label_attention.agreement import label_attention_calls
from mindref.conformance.checks.relu_layer import relu_layer_calls
from mindref.conformance.checks.routing.agreement import routing_calls
from mindref.conformance.checks.sampled_softmax.agreement import sampled_softmax_calls
from mindref.conformance.checks.softmax import softmax_calls
from mindref.conformance.checks.squash import squash_calls
from mindref.conformance.operators import ARGUMENTS
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.check import Run, add_check, name_run

CALLS = {
    "embedding": embedding_calls(),
    "softmax": softmax_calls(),
    "squash": squash_calls(),
    "routing": routing_calls(),
    "relu_layer": relu_layer_calls(),
    "label_attention": label_attention_calls(),
    "sampled_softmax": sampled_softmax_calls(),
}
"""Operator -> Hypothesis strategy that draws calls of this operator."""

MASKED = tuple(stem for stem, arguments in ARGUMENTS.items() if arguments.masks)
"""Operators with a mask argument."""


def for_each_operator(
    *rules: str,
    stems: Iterable[str] = tuple(CALLS),
    draws: Mapping[str, st.SearchStrategy[Call]] = CALLS,
    gradient: bool = False,
) -> Callable[[Run], Run]:
    """Register the decorated function as one check for each operator in `stems`.

    draws: operator -> strategy that draws its calls.
    """

    def enter(function: Run) -> Run:
        for stem in stems:
            name = f"{function.__name__}[{stem}]"
            run = name_run(partial(function), function.__module__, name, function.__doc__)
            add_check(*rules, stem=stem, draws=draws[stem], gradient=gradient)(run)
        return function

    return enter
