"""Compare operators with the reference where implementations clamp, round or approximate.

Spec: specs/numerics.md and the pages of the operators. The drawn calls of the other modules have
numbers of ordinary size, users that differ, and scores that differ by much more than rounding.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from mindref.conformance.checks.label_attention.agreement import label_attention_calls
from mindref.conformance.checks.routing.agreement import routing_calls
from mindref.conformance.checks.sampled_softmax.agreement import sampled_softmax_calls
from mindref.conformance.checks.softmax import slice_integers, softmax_calls
from mindref.conformance.checks.squash import axis_capsules, squash_calls
from mindref.conformance.draws.call_changes import as_small_integers
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.check import add_check, add_comparison
from mindref.conformance.runner.context import CheckContext

FAR = 1000.0
"""exp(FAR) overflows in every dtype, but sums with FAR are exact for small integers."""

TINY_SCALE = 2.0**-60
"""A factor that changes no digit of a score, and makes every difference of scores tiny."""


@add_check("softmax-R3", draws=softmax_calls(scales=(1.0,)), gradient=True)
def adding_a_large_constant_changes_nothing(context: CheckContext, call: Call) -> None:
    """Adding 1000 or -1000 to all logits of a slice must not change weights or gradients."""
    eighths = np.rint(8 * call.arrays["logits"]) / 8  # multiples of 1/8, so that sums are exact
    first = context.run(call.change(logits=eighths))
    signs = np.where(slice_integers(context, call) > 0, 1, -1)
    far = (eighths + FAR * signs).astype(call.dtype)
    context.assert_same(first, context.run(call.change(logits=far)))


@add_comparison("softmax-R1, R5", draws=softmax_calls(scales=(30.0, 100.0, 1000.0)), gradient=True)
def large_logits_match_the_reference() -> None:
    """With logits up to several thousands, weights and gradients must match the reference."""


@add_comparison("squash-R1, R5, R2", draws=squash_calls(lengths=(1e-7, 1e-12)), gradient=True)
def tiny_vectors_match_the_reference() -> None:
    """With norms near 1e-7 and 1e-12, the result and the gradient must match the reference."""


@add_check("numerics-R16", "squash-R6", stem="squash", draws=squash_calls(kind="unit"))
def kind_unit_keeps_the_direction_of_the_smallest_float(context: CheckContext, call: Call) -> None:
    """With kind="unit", a vector along a coordinate of the smallest float must have norm 1."""
    context.run(call)
    axes = axis_capsules(context, as_small_integers(call).arrays["x"])
    smallest = np.finfo(call.dtype).smallest_subnormal
    context.assert_exact(context.run(call.change(x=axes * smallest)), "out", axes)


@add_comparison(
    "label_attention-R2, R8, R9", draws=label_attention_calls(powers=(1.5, 2.5, 1.1)), gradient=True
)
def fractional_powers_match_the_reference() -> None:
    """With p = 1.1, 1.5 or 2.5, the result and every gradient must match the reference."""


@add_check("label_attention-R6", draws=label_attention_calls(powers=(np.inf,)))
def power_infinity_distinguishes_adjacent_scores(context: CheckContext, call: Call) -> None:
    """With p = infinity, a score one rounding step above the others must be selected."""
    context.run(call)
    target = np.zeros_like(call.arrays["target"])
    target[:, 0] = 1
    interests = np.array(np.nan_to_num(call.arrays["interests"]))
    interests[..., 0] = 1
    active = call.arrays["active"]
    largest = active.shape[1] - 1 - np.argmax(active[:, ::-1], axis=1)  # the last active interest
    users = np.arange(len(largest))
    interests[users, largest, 0] = np.nextafter(call.dtype.type(1), call.dtype.type(2))
    got = context.run(call.change(interests=interests, target=target))
    context.assert_exact(got, "out", interests[users, largest])


@add_check("label_attention-R6", draws=label_attention_calls(powers=(np.inf,)))
def power_infinity_does_not_depend_on_the_scale(context: CheckContext, call: Call) -> None:
    """With p = infinity, a target multiplied by 2^-60 must select the same interest."""
    first = context.run(call)
    target = (call.arrays["target"] * TINY_SCALE).astype(call.dtype)
    context.assert_equal(context.run(call.change(target=target)), first)


@add_comparison(
    "sampled_softmax-R6",
    draws=sampled_softmax_calls(nonempty=True, normalise=(True,), temperatures=(0.05, 0.01, 1e-4)),
    gradient=True,
)
def small_temperatures_match_the_reference() -> None:
    """With a temperature from 0.0001 to 0.05, loss and gradients must match the reference."""


def with_target_logits(call: Call, logits: tuple[float, ...]) -> Call:
    """Return `call` with targets that have these logits, before the correction, in turn."""
    user = np.array(call.arrays["user"])
    user += np.where(np.abs(user).sum(axis=1, keepdims=True) == 0, 1.0, 0.0)  # no zero vectors
    column = np.resize(logits, len(user))[:, None]
    target = column * user / np.sum(user * user, axis=1, keepdims=True)
    return call.change(user=user, target=target)


PLAIN = sampled_softmax_calls(nonempty=True, normalise=(False,), temperatures=(1.0,))


@add_comparison(
    "sampled_softmax-R1, R12",
    draws=PLAIN.map(partial(with_target_logits, logits=(25.0, 30.0, 40.0))),
    gradient=True,
)
def losses_near_zero_match_the_reference() -> None:
    """If all targets are nearly certain, the loss near zero and all gradients must match."""


@add_comparison(
    "sampled_softmax-R1, R9",
    draws=PLAIN.map(partial(with_target_logits, logits=(-12.0, -20.0, -40.0))),
    gradient=True,
)
def large_losses_match_the_reference() -> None:
    """If all targets are nearly impossible, the large loss and all gradients must match."""


def with_equal_users(call: Call) -> Call:
    """Return `call` in which all users, targets and their ids are equal."""
    return repeat_first_user(call, ("user", "target", "target_ids", "target_log_expected"))


def repeat_first_user(call: Call, names: tuple[str, ...]) -> Call:
    """Return `call` in which all users have the arrays `names` of the first user."""
    repeated = {name: np.repeat(call.arrays[name][:1], len(call.arrays[name]), 0) for name in names}
    return call.change(**repeated)


@add_comparison(
    "sampled_softmax-R5, R11",
    draws=sampled_softmax_calls(nonempty=True).map(with_equal_users),
    gradient=True,
)
def equal_users_match_the_reference() -> None:
    """If all users of a batch are equal, each must count: all results must match."""


def with_equal_histories(call: Call) -> Call:
    """Return `call` in which all users have the same history, and different initial logits."""
    return repeat_first_user(call, ("history", "mask"))


@add_comparison("routing-R5, R12", draws=routing_calls().map(with_equal_histories), gradient=True)
def equal_histories_match_the_reference() -> None:
    """If all users have the same history, results must differ only by the initial logits."""
