"""Checks of the optional features of routing. Spec: specs/routing.md.

Another softmax axis, a matrix for each pair, other kinds of squash: rules that say (may).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from mindref.conformance.checks.routing.agreement import routing_calls
from mindref.conformance.checks.routing.properties import assert_couplings_sum_to_one
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.check import add_check, add_comparison
from mindref.conformance.runner.context import CheckContext


@add_check("routing-R9", draws=routing_calls(axis="behaviours"))
def coupling_weights_of_an_interest_sum_to_one(context: CheckContext, call: Call) -> None:
    """With axis="behaviours", the coupling weights of an interest must sum to 1."""
    assert_couplings_sum_to_one(context, call, axis=1)


@add_comparison("routing-R9", draws=routing_calls(axis="behaviours"))
def axis_behaviours_matches_the_reference() -> None:
    """With axis="behaviours", forward must match the reference."""


@add_comparison("routing-R9", draws=routing_calls(axis="behaviours"), gradient=True)
def axis_behaviours_gradients_match_the_reference() -> None:
    """With axis="behaviours", every gradient must match the reference."""


@add_check("routing-R25", draws=routing_calls(), gradient=True)
def equal_matrices_equal_one_shared_matrix(context: CheckContext, call: Call) -> None:
    """If all matrices are equal, the result must be that of one shared matrix."""
    _, places, interests = call.arrays["init_logits"].shape
    single = call.arrays["bilinear"]
    matrices = np.broadcast_to(single, (places, interests, *single.shape))
    general = context.run(call.change(bilinear=matrices))
    total = {"d_bilinear": lambda x: x.sum(axis=(0, 1))}
    context.assert_same(context.run(call), general, through=total)


@add_comparison("routing-R25", draws=routing_calls(general=True))
def general_routing_matches_the_reference() -> None:
    """With a matrix for each position and interest, forward must match the reference."""


@add_comparison("routing-R25", draws=routing_calls(general=True), gradient=True)
def general_routing_gradients_match_the_reference() -> None:
    """With a matrix for each position and interest, gradients must match the reference."""


@add_check("routing-R26", draws=routing_calls(general=True))
def distinct_matrices_give_distinct_interests(context: CheckContext, call: Call) -> None:
    """From zero logits, distinct matrices must give distinct interests."""
    assert_interests_differ(context, call, "matrices")


def assert_interests_differ(context: CheckContext, call: Call, distinct: str) -> None:
    """Require that interests with distinct arrays differ although all logits are zero."""
    mask, active = call.arrays["mask"], call.arrays["active"]
    history = np.where(mask[..., None], call.arrays["history"], 1).astype(call.dtype)
    logits = np.zeros_like(call.arrays["init_logits"])
    arrays = {"history": history, "mask": np.ones_like(mask), "init_logits": logits}
    got = context.run(call.forward_only().change(**arrays, active=np.ones_like(active)))
    pairs = [pair for capsules in got["out"] for pair in pairwise(capsules)]
    differ = all(not np.array_equal(x, y) for x, y in pairs)
    context.assert_true(differ, f"two interests with distinct {distinct} are equal", got, "out")


@add_check("routing-R27", draws=routing_calls(iterations=(1,), kind="none"), gradient=True)
def kind_none_is_linear_in_one_iteration(context: CheckContext, call: Call) -> None:
    """With kind="none" and one iteration, a doubled history must double the capsules exactly."""
    longer = context.run(call.change(history=2 * call.arrays["history"]))
    context.assert_equal(longer, context.run(call), "out", through={"out": lambda x: 2 * x})


@add_check("routing-R27", draws=routing_calls(iterations=(1,), kind="unit"), gradient=True)
def kind_unit_ignores_the_scale_of_the_history(context: CheckContext, call: Call) -> None:
    """With kind="unit" and one iteration, doubling the history must not change any capsule byte."""
    longer = context.run(call.change(history=2 * call.arrays["history"]))
    context.assert_equal(longer, context.run(call), "out")


@add_comparison("routing-R27", draws=routing_calls(kind="none"), gradient=True)
def routing_with_kind_none_matches_the_reference() -> None:
    """With kind="none", capsules and gradients must match the reference."""


@add_comparison("routing-R27", draws=routing_calls(kind="unit"), gradient=True)
def routing_with_kind_unit_matches_the_reference() -> None:
    """With kind="unit", capsules and gradients must match the reference."""
