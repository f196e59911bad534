"""Compare operators with the reference when one axis is much longer than in the drawn calls.

Spec: specs/conformance.md. Blocks, vector registers and tables of fixed size fail only on long
axes. Each long size is a prime number, so that the last block of any size is incomplete.

If an answer is wrong, the axis is shortened until the answer is right. The failure names the
smallest size that was found wrong, and has the call of this size.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from mindref.conformance.checks.embedding import embedding_calls
from mindref.conformance.checks.label_attention.agreement import label_attention_calls
from mindref.conformance.checks.relu_layer import relu_layer_calls
from mindref.conformance.checks.routing.agreement import routing_calls
from mindref.conformance.checks.sampled_softmax.agreement import sampled_softmax_calls
from mindref.conformance.checks.softmax import softmax_calls
from mindref.conformance.checks.squash import squash_calls
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.check import add_check, agreement_run, name_run
from mindref.conformance.runner.context import CheckContext
from mindref.conformance.runner.shortening import ITERATIONS, matches_at_all_sizes, shorten_axis


class LongAxis(NamedTuple):
    """An axis that is long in the calls of a check. No other axis has this size."""

    stem: str
    axis: str  # letter of specs/notation.md, or another name of the axis
    size: int
    draws: st.SearchStrategy[Call]
    shortens: bool = True  # whether a failing call is shortened along the axis
    option: str = ""  # of the calls, if it is not the first one that is drawn
    rules: str = ""  # by default those of RULES


embeddings = partial(embedding_calls, kinds=("mixed",))
routings = partial(routing_calls, gradients=("all",), iterations=(3,))
losses = partial(sampled_softmax_calls, nonempty=True)

LONG = (
    LongAxis("embedding", "V", 70_001, embeddings(sizes=(70_001, 2, 97, 3))),
    LongAxis("embedding", "M", 4_099, embeddings(sizes=(7, 2, 4_099, 3))),
    LongAxis("embedding", "F", 67, embeddings(sizes=(7, 2, 5, 67))),
    LongAxis("embedding", "D", 269, embeddings(sizes=(7, 269, 5, 3))),
    LongAxis("softmax", "middle", 1_031, softmax_calls(sizes=(2, 1_031, 3), axes=(1,))),
    LongAxis("softmax", "last", 1_031, softmax_calls(sizes=(3, 2, 1_031), axes=(2,))),
    LongAxis("squash", "D", 269, squash_calls(sizes=(2, 3, 269))),
    LongAxis("squash", "first", 1_031, squash_calls(sizes=(1_031, 3))),
    LongAxis("routing", "B", 131, routings(sizes=(131, 3, 2, 5))),
    LongAxis("routing", "L", 131, routings(sizes=(2, 131, 3, 5))),
    LongAxis("routing", "K", 67, routings(sizes=(2, 5, 67, 3))),
    LongAxis("routing", "D", 269, routings(sizes=(2, 5, 3, 269))),
    LongAxis("routing", ITERATIONS, 31, routings(sizes=(2, 5, 3, 4), iterations=(31,))),
    LongAxis("relu_layer", "M", 1_031, relu_layer_calls(sizes=(1_031, 3, 2))),
    LongAxis("relu_layer", "I", 269, relu_layer_calls(sizes=(3, 269, 2))),
    LongAxis("relu_layer", "O", 269, relu_layer_calls(sizes=(3, 2, 269))),
    LongAxis("label_attention", "B", 131, label_attention_calls(sizes=(131, 3, 2))),
    LongAxis("label_attention", "K", 67, label_attention_calls(sizes=(3, 67, 2))),
    LongAxis("label_attention", "D", 269, label_attention_calls(sizes=(3, 2, 269))),
    LongAxis("sampled_softmax", "B", 131, losses(sizes=(131, 3, 2))),
    LongAxis("sampled_softmax", "S", 4_099, losses(sizes=(3, 4_099, 2))),
    LongAxis("sampled_softmax", "D", 269, losses(sizes=(3, 2, 269))),
    # a profile with few examples draws only the first options of the calls above
    LongAxis(
        "routing",
        "L",
        131,
        routings(sizes=(2, 131, 3, 5), axis="behaviours"),
        option="behaviours",
        rules="routing-R9, R3, R8",
    ),
    LongAxis(
        "routing",
        "L",
        131,
        routing_calls(gradients=("last",), sizes=(2, 131, 3, 5)),
        option="last",
        rules="routing-R12, R3",
    ),
    LongAxis(
        "label_attention",
        "K",
        67,
        label_attention_calls(sizes=(3, 67, 2), powers=(np.inf,)),
        option="infinity",
        rules="label_attention-R6, R7",
    ),
    LongAxis(
        "label_attention",
        "D",
        269,
        label_attention_calls(sizes=(3, 2, 269), powers=(2.0,)),
        option="2",
        rules="label_attention-R2, R7, R8, R9",
    ),
    LongAxis(
        "sampled_softmax",
        "D",
        269,
        losses(sizes=(3, 2, 269), normalise=(True,)),
        option="normalise",
        rules="sampled_softmax-R7, R1, R11",
    ),
)

RULES = {
    "embedding": "embedding-R1, R3",
    "softmax": "softmax-R1, R5",
    "squash": "squash-R1, R2",
    "routing": "routing-R3, R8, R11",
    "relu_layer": "relu_layer-R1, R4",
    "label_attention": "label_attention-R1, R8, R9",
    "sampled_softmax": "sampled_softmax-R1, R11, R12",
}
"""Operator -> the rules of its result and of its gradients."""


class EmptyAxes(NamedTuple):
    """The sizes of a call of an operator, of which each in turn is set to 0."""

    stem: str
    sizes: tuple[int, ...]  # all different
    draws: st.SearchStrategy[Call]
    positive: tuple[int, ...] = ()
    """Sizes that are not set to 0: users of a mean, rows to look up, interests to attend to, and
    the width of a table, because a sparse gradient of width 0 may have no rows."""


EMPTY = (
    EmptyAxes("embedding", (7, 2, 5, 3), embeddings(sizes=(7, 2, 5, 3)), positive=(7, 2)),
    EmptyAxes("softmax", (2, 5, 3), softmax_calls(sizes=(2, 5, 3))),
    EmptyAxes("squash", (2, 5, 3), squash_calls(sizes=(2, 5, 3))),
    EmptyAxes("routing", (2, 5, 3, 4), routings(sizes=(2, 5, 3, 4))),
    EmptyAxes("relu_layer", (5, 3, 2), relu_layer_calls(sizes=(5, 3, 2))),
    EmptyAxes("label_attention", (5, 3, 2), label_attention_calls(sizes=(5, 3, 2)), positive=(3,)),
    EmptyAxes("sampled_softmax", (5, 3, 2), losses(sizes=(5, 3, 2)), positive=(5,)),
)


def matches_without_elements(sizes: tuple[int, ...], context: CheckContext, call: Call) -> None:
    """Compare the answer to `call`, and the answers after each of `sizes` is set to 0."""
    context.assert_agrees(call)
    for size in sizes:
        context.assert_agrees(shorten_axis(call, "", size, 0))


def add_long_axis(long: LongAxis, rules: str, module: str = __name__) -> None:
    """Register a check of a long axis; its name ends with the call and the axis: `[routing-L]`."""
    shortened = partial(matches_at_all_sizes, long.axis, long.size)
    suffix = "-".join(filter(None, (long.stem, long.axis, long.option)))
    run = name_run(
        shortened if long.shortens else agreement_run(),
        module,
        f"long_axis_matches_the_reference[{suffix}]",
        f"With a long axis {long.axis}, the result and every gradient must match the reference.",
    )
    add_check(
        long.rules or rules,
        stem=long.stem,
        draws=long.draws,
        gradient=long.stem not in ("interests", "training", "scores"),
        agreement=True,
        fraction=0.2,
        shrinks=False,
    )(run)


def add_empty_axes(empty: EmptyAxes) -> None:
    """Register the check of the empty axes of an operator; its name ends with the operator."""
    sizes = tuple(size for size in empty.sizes if size not in empty.positive)
    name = f"empty_axes_match_the_reference[{empty.stem}]"
    text = "If the size of an axis is 0, the result and every gradient must match the reference."
    run = name_run(partial(matches_without_elements, sizes), __name__, name, text)
    add_check(
        RULES[empty.stem],
        stem=empty.stem,
        draws=empty.draws,
        gradient=True,
        agreement=True,
        fraction=0.2,
    )(run)


for long_axis in LONG:
    add_long_axis(long_axis, RULES[long_axis.stem])
for empty_axes in EMPTY:
    add_empty_axes(empty_axes)
