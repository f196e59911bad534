"""Every operator with its calls: for checks of what holds for all of them.

Such a check is entered once for each operator, as `numerics/inputs_are_left_alone[routing]`, so
that an operator that is not claimed shows as that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from mindref.conformance import (
    embedding,
    label_attention,
    relu_layer,
    routing,
    sampled_softmax,
    softmax,
    squash,
)
from mindref.conformance.judging.call import Call
from mindref.conformance.judging.check import check
from mindref.conformance.judging.judge import Judge

Run = Callable[[Judge, Call], None]

CALLS = {
    "embedding": embedding.calls(),
    "softmax": softmax.calls(),
    "squash": squash.calls(),
    "routing": routing.calls(),
    "relu_layer": relu_layer.calls(),
    "label_attention": label_attention.calls(),
    "sampled_softmax": sampled_softmax.calls(),
}
"""Operator -> what its calls are drawn from."""

MASKED = {"softmax": ("mask",), "routing": ("mask", "active"), "label_attention": ("active",)}
"""Operator -> its masks, for those that have any."""


def for_each_operator(
    *rules: str, stems: Iterable[str] = tuple(CALLS), **options: Any
) -> Callable[[Run], Run]:
    """Enter a function among the checks once for each operator, fed with that operator's calls."""

    def enter(function: Run) -> Run:
        for stem in stems:
            check(*rules, stem=stem, draws=CALLS[stem], **options)(named(function, stem))
        return function

    return enter


def named(function: Run, stem: str) -> Run:
    """Return the function under a name that says which operator it is asked of."""

    def of_one_operator(judge: Judge, call: Call) -> None:
        function(judge, call)

    of_one_operator.__module__ = function.__module__
    of_one_operator.__name__ = f"{function.__name__}[{stem}]"
    of_one_operator.__doc__ = function.__doc__
    return of_one_operator
