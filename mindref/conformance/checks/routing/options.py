"""Checks of the optional features of routing. Spec: specs/routing.md.

The features are: softmax over behaviours, matrices S_ik, other kinds of squash, log weights.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np

from mindref.conformance.checks.routing.agreement import routing_calls
from mindref.conformance.checks.routing.gradient import (
    INPUTS,
    assert_all_equals_last,
    assert_normalised_gradients_follow,
)
from mindref.conformance.checks.routing.properties import (
    assert_couplings_sum_to_one,
    assert_equals_last_iteration,
)
from mindref.conformance.draws.call_changes import select_axis
from mindref.conformance.draws.routing_changes import GARBAGE, first_interests
from mindref.conformance.runner.call import AnyArray, Call
from mindref.conformance.runner.check import add_check, add_comparison
from mindref.conformance.runner.context import CheckContext


@add_check("routing-R9", draws=routing_calls(axis="behaviours"))
def coupling_weights_of_an_interest_sum_to_one(context: CheckContext, call: Call) -> None:
    """With axis="behaviours", an interest's coupling weights must sum to 1 over the behaviours."""
    assert_couplings_sum_to_one(context, call, axis=1)


@add_comparison("routing-R9", draws=routing_calls(axis="behaviours"))
def axis_behaviours_matches_the_reference() -> None:
    """With axis="behaviours", forward must match the reference."""


@add_comparison("routing-R9", draws=routing_calls(axis="behaviours"), gradient=True)
def axis_behaviours_gradients_match_the_reference() -> None:
    """With axis="behaviours", every gradient must match the reference."""


@add_check("routing-R25", draws=routing_calls(), gradient=True)
def equal_matrices_equal_one_shared_matrix(context: CheckContext, call: Call) -> None:
    """If all matrices S_ik are equal, the results must be the same as with one shared matrix S."""
    _, places, interests = call.arrays["init_logits"].shape
    single = call.arrays["bilinear"]
    matrices = np.broadcast_to(single, (places, interests, *single.shape))
    general = context.run(call.change(bilinear=matrices))
    total = {"d_bilinear": lambda x: x.sum(axis=(0, 1))}
    context.assert_same(context.run(call), general, through=total)


@add_comparison("routing-R25", draws=routing_calls(general=True))
def general_routing_matches_the_reference() -> None:
    """With one matrix S_ik per position i and interest k, forward must match the reference."""


@add_comparison("routing-R25", draws=routing_calls(general=True), gradient=True)
def general_routing_gradients_match_the_reference() -> None:
    """With one matrix S_ik per position i and interest k, gradients must match the reference."""


@add_check("routing-R26", draws=routing_calls(general=True))
def distinct_matrices_give_distinct_interests(context: CheckContext, call: Call) -> None:
    """If all initial logits are 0, random matrices S_ik must give different capsules."""
    assert_interests_differ(context, call, "matrices")


def assert_interests_differ(context: CheckContext, call: Call, distinct: str) -> None:
    """With zero logits, neighbouring capsules must differ; `distinct` is for the message."""
    mask, active = call.arrays["mask"], call.arrays["active"]
    history = np.where(mask[..., None], call.arrays["history"], 1).astype(call.dtype)
    logits = np.zeros_like(call.arrays["init_logits"])
    forward = call.forward_only().change(
        history=history,
        mask=np.ones_like(mask),
        init_logits=logits,
        active=np.ones_like(active),
    )
    got = context.run(forward)
    pairs = [pair for capsules in got["out"] for pair in pairwise(capsules)]
    differ = all(not np.array_equal(x, y) for x, y in pairs)
    context.assert_true(differ, f"two interests with distinct {distinct} are equal", got, "out")


@add_check("routing-R27", draws=routing_calls(iterations=(1,), kind="none"), gradient=True)
def kind_none_is_linear_in_one_iteration(context: CheckContext, call: Call) -> None:
    """With kind="none" and one iteration, 2 * history must give exactly 2 * capsules."""
    longer = context.run(call.change(history=2 * call.arrays["history"]))
    context.assert_equal(longer, context.run(call), "out", through={"out": lambda x: 2 * x})


@add_check("routing-R27", draws=routing_calls(iterations=(1,), kind="unit"), gradient=True)
def kind_unit_ignores_the_scale_of_the_history(context: CheckContext, call: Call) -> None:
    """With kind="unit" and one iteration, history times 2 must keep all capsule bytes."""
    longer = context.run(call.change(history=2 * call.arrays["history"]))
    context.assert_equal(longer, context.run(call), "out")


@add_comparison("routing-R27", draws=routing_calls(kind="none"), gradient=True)
def routing_with_kind_none_matches_the_reference() -> None:
    """With kind="none", capsules and gradients must match the reference."""


@add_comparison("routing-R27", draws=routing_calls(kind="unit"), gradient=True)
def routing_with_kind_unit_matches_the_reference() -> None:
    """With kind="unit", capsules and gradients must match the reference."""


draw_weighted = partial(routing_calls, weighted=True)
WEIGHTED = draw_weighted()
INPUTS_AND_WEIGHTS = (*INPUTS, "d_log_weights")


def without_log_weights(call: Call) -> Call:
    """Return the call without log weights."""
    arrays = {name: x for name, x in call.arrays.items() if name != "log_weights"}
    return call._replace(arrays=arrays)


def weighted_and_scaled(context: CheckContext, call: Call) -> tuple[Call, Call]:
    """Return a call with log weights, and a call with behaviours times exp(log weights) instead.

    The weights, equal for all interests, are powers of two from 1/2 to 4. Products are thus exact.
    """
    history, logits = call.arrays["history"], call.arrays["init_logits"]
    powers = context.rng.integers(-1, 3, (*logits.shape[:2], 1))
    log_weights = np.broadcast_to(powers * np.log(2), logits.shape).astype(call.dtype)
    longer = np.ldexp(history, powers).astype(call.dtype)
    return call.change(log_weights=log_weights), without_log_weights(call).change(history=longer)


@add_check("routing-R32", draws=draw_weighted(iterations=(1,)))
def log_weights_scale_behaviours_in_one_iteration(context: CheckContext, call: Call) -> None:
    """With one iteration, log weights must scale the behaviours by exp(log weights)."""
    weighted, longer = map(context.run, weighted_and_scaled(context, call))
    context.assert_same(weighted, longer)


@add_check("routing-R32", draws=WEIGHTED)
def single_interest_is_the_weighted_sum(context: CheckContext, call: Call) -> None:
    """With one active interest, the capsule must be squash of the weighted sum of the votes."""
    active = first_interests(1, *call.arrays["active"].shape)
    weighted, longer = weighted_and_scaled(context, call.change(active=active))
    context.assert_same(context.run(weighted), context.run(longer.change(iterations=1)), "out")


@add_comparison("routing-R32", draws=WEIGHTED)
def log_weights_match_the_reference() -> None:
    """With `log_weights`, forward must match the reference."""


@add_comparison("routing-R32, R9", draws=draw_weighted(axis="behaviours"))
def log_weights_with_axis_behaviours_match() -> None:
    """With `log_weights` and axis="behaviours", forward must match the reference."""


@add_comparison("routing-R32, R25", draws=draw_weighted(general=True))
def log_weights_with_general_routing_match() -> None:
    """With `log_weights` and matrices S_ik, forward must match the reference."""


@add_check("routing-R33", draws=WEIGHTED, gradient=True)
def zero_log_weights_change_nothing(context: CheckContext, call: Call) -> None:
    """Log weights of 0 must give the same results as a call without log weights."""
    zero = np.zeros_like(call.arrays["log_weights"])
    weighted = context.run(call.change(log_weights=zero))
    context.assert_same(weighted, context.run(without_log_weights(call)))


@add_check("routing-R34", draws=WEIGHTED, gradient=True)
def log_weights_at_padding_have_no_influence(context: CheckContext, call: Call) -> None:
    """Log weights of padding or inactive interests must change no byte and must get gradient 0."""
    log_weights = call.arrays["log_weights"]
    excluded = ~(call.arrays["mask"][:, :, None] & call.arrays["active"][:, None, :])
    garbage = context.rng.choice(GARBAGE, size=log_weights.shape).astype(call.dtype)
    got = context.run(call.change(log_weights=np.where(excluded, 0, log_weights)))
    dirty = np.where(excluded, garbage, log_weights)
    context.assert_equal(context.run(call.change(log_weights=dirty)), got)
    context.assert_exact(got, "d_log_weights", 0, mask=excluded)


@add_check(
    "routing-R35",
    draws=draw_weighted(iterations=(1, 2, 3), gradients=("all",)),
    gradient=True,
    fraction=0.3,
)
def log_weight_gradients_match_finite_differences(context: CheckContext, call: Call) -> None:
    """In float64, the gradients must match central differences of the backend's forward."""
    assert_normalised_gradients_follow(context, call)


@add_comparison("routing-R35", draws=draw_weighted(gradients=("all",)), gradient=True)
def log_weight_gradients_match_the_reference() -> None:
    """With `log_weights` and gradient="all", every gradient must match the reference."""


@add_comparison(
    "routing-R35, R9", draws=draw_weighted(gradients=("all",), axis="behaviours"), gradient=True
)
def log_weight_gradients_with_axis_behaviours_match() -> None:
    """With `log_weights` and axis="behaviours", every gradient must match the reference."""


@add_comparison(
    "routing-R35, R25", draws=draw_weighted(gradients=("all",), general=True), gradient=True
)
def log_weight_gradients_with_general_routing_match() -> None:
    """With `log_weights` and matrices S_ik, every gradient must match the reference."""


@add_check("routing-R36", draws=draw_weighted(gradients=("last",)), gradient=True)
def gradient_last_includes_the_last_log_weights(context: CheckContext, call: Call) -> None:
    """With log weights and gradient="last", gradients must be those of only the last iteration."""
    got = assert_equals_last_iteration(context, call, *INPUTS_AND_WEIGHTS)
    context.assert_exact(got, "d_init_logits", 0)


@add_check("routing-R36", draws=draw_weighted(iterations=(1,)), gradient=True)
def gradients_all_and_last_agree_with_log_weights(context: CheckContext, call: Call) -> None:
    """With `log_weights` and one iteration, `gradient` may change only d_init_logits."""
    assert_all_equals_last(context, call, *INPUTS_AND_WEIGHTS)


@add_comparison("routing-R36", draws=draw_weighted(gradients=("last",)), gradient=True)
def gradient_last_with_log_weights_matches() -> None:
    """With `log_weights` and gradient="last", every gradient must match the reference."""


@add_check("routing-R37", draws=WEIGHTED)
def log_two_counts_a_behaviour_twice(context: CheckContext, call: Call) -> None:
    """Adding log 2 to a behaviour's log weights must have the effect of repeating the behaviour."""
    log_weights = call.arrays["log_weights"]
    places = np.arange(log_weights.shape[1])
    position = int(context.rng.integers(len(places)))
    log_two = np.where(places == position, np.log(2), 0)[:, None]
    counted = call.change(log_weights=(log_weights + log_two).astype(call.dtype))
    twice = select_axis(call, "l", np.append(places, position))
    context.assert_same(context.run(counted), context.run(twice), "out")


@add_check("routing-R38", draws=WEIGHTED)
def distinct_log_weights_give_distinct_interests(context: CheckContext, call: Call) -> None:
    """If all initial logits are 0, random log weights must give different capsules."""
    assert_interests_differ(context, call, "log weights")


@add_check("routing-R39", draws=WEIGHTED)
def log_weights_of_wrong_shape_raise(context: CheckContext, call: Call) -> None:
    """Log weights of a wrong shape, or of another dtype than the history, must raise an error."""
    context.run(call)
    for wrong in misfitting_log_weights(call):
        context.assert_raises(call.change(log_weights=wrong))


def misfitting_log_weights(call: Call) -> list[AnyArray]:
    """Return invalid log weights: arrays of wrong shapes, and one of another dtype."""
    x = call.arrays["log_weights"]
    firsts = [np.take(x, [0], axis) for axis in range(3)]
    longer = [np.concatenate((x, first), axis) for axis, first in enumerate(firsts)]
    single = [first for axis, first in enumerate(firsts) if x.shape[axis] > 1]
    return [*longer, *single, x[0], x.astype(call.other_dtype)]
