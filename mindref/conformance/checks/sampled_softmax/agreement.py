"""Compare sampled softmax with the reference, and test invalid arguments.

Spec: specs/sampled_softmax.md.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from mindref.conformance.draws.call_changes import replace_at
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.check import add_check, add_comparison
from mindref.conformance.runner.context import CheckContext
from mindref.conformance.runner.gradient_check import assert_gradients_follow
from mindref.conformance.strategies import (
    Sizes,
    distinct_sizes,
    generators,
    normal,
    read_only,
    share_strategy,
)

TEMPERATURES = (1.0, 0.5, 0.1, 2.0)
SCALES = (1.0, 0.1, 2.0)
ITEMS = 6
"""Number of items: small, so that targets occur among the negatives and negatives repeat."""


@share_strategy
@st.composite
def sampled_softmax_calls(
    draw: st.DrawFn,
    *,
    temperatures: tuple[float, ...] = TEMPERATURES,
    normalise: tuple[bool, ...] = (False, True),
    nonempty: bool = False,
    sizes: Sizes = None,
) -> Call:
    """Draw users, targets, negatives (with repeats and accidental hits) and log expected counts.

    If `nonempty` is false, some calls have no negatives, and some have zero vectors.
    """
    b, s, d = sizes or draw(distinct_sizes(3))
    s, zero = (s, False) if nonempty else draw(st.sampled_from(((s, False), (s, True), (0, False))))
    rng, scale = draw(generators()), draw(st.sampled_from(SCALES))
    user, target, negatives = (normal(rng, n, d, scale=scale) for n in (b, b, s))
    if zero:
        user, target = (
            read_only(np.where(np.arange(b)[:, None] == i, 0, x))
            for i, x in ((1, user), (2, target))
        )
    arrays = {
        "user": user,
        "target": target,
        "negatives": negatives,
        "target_ids": read_only(rng.integers(0, ITEMS, b)),
        "negative_ids": read_only(rng.integers(0, ITEMS, s)),
        "target_log_expected": read_only(np.log(rng.uniform(0.001, 1.5, b))),
        "negative_log_expected": read_only(np.log(rng.uniform(0.001, 1.5, s))),
    }
    numbers = {
        "temperature": draw(st.sampled_from(temperatures)),
        "normalise": draw(st.sampled_from(normalise)),
    }
    return Call("sampled_softmax", arrays, numbers, read_only(np.array(rng.uniform(0.5, 2))))


WITH_NEGATIVES = sampled_softmax_calls(nonempty=True)
PLAIN_WITH_NEGATIVES = sampled_softmax_calls(temperatures=(1.0,), normalise=(False,), nonempty=True)
PLAIN = sampled_softmax_calls(temperatures=(1.0,), normalise=(False,))


@add_comparison("sampled_softmax-R1, R2", draws=PLAIN)
def plain_loss_matches_the_reference() -> None:
    """With temperature=1 and normalise=False, the loss must match the reference."""


@add_comparison("sampled_softmax-R6", draws=sampled_softmax_calls(normalise=(False,)))
def loss_with_temperature_matches_the_reference() -> None:
    """With a temperature from 0.1 to 2, the loss must match the reference."""


@add_comparison("sampled_softmax-R7", draws=sampled_softmax_calls(normalise=(True,)))
def normalised_loss_matches_the_reference() -> None:
    """With normalise=True, the loss must match the reference."""


@add_comparison("sampled_softmax-R1", draws=PLAIN, parts=("d_user",))
def user_gradient_matches_the_reference() -> None:
    """The gradient of the user vectors must match the reference."""


@add_comparison("sampled_softmax-R12", draws=PLAIN, parts=("d_target",))
def target_gradient_matches_the_reference() -> None:
    """The gradient of the targets must match the reference."""


@add_comparison("sampled_softmax-R11", draws=PLAIN_WITH_NEGATIVES, parts=("d_negatives",))
def negative_gradients_match_the_reference() -> None:
    """The gradient of each negative must match the reference."""


@add_comparison(
    "sampled_softmax-R6", draws=sampled_softmax_calls(normalise=(False,)), gradient=True
)
def gradients_with_temperature_match_the_reference() -> None:
    """With a temperature from 0.1 to 2, every gradient must match the reference."""


@add_comparison("sampled_softmax-R8", draws=sampled_softmax_calls(normalise=(True,)), gradient=True)
def normalised_gradients_match_the_reference() -> None:
    """With normalise=True, every gradient must match the reference."""


@add_check("sampled_softmax-R1", draws=WITH_NEGATIVES, gradient=True, fraction=0.5)
def loss_gradients_match_finite_differences(context: CheckContext, call: Call) -> None:
    """In float64, the gradients must match central differences of the backend's forward."""
    call = call.change(temperature=max(call.numbers["temperature"], 0.5))
    assert_gradients_follow(context, call.change(normalise=False))


@add_check("sampled_softmax-R14", draws=WITH_NEGATIVES)
def loss_arrays_that_disagree_raise(context: CheckContext, call: Call) -> None:
    """Arrays that disagree in shape or dtype must raise an error."""
    context.run(call)
    doubled = {n: np.concatenate((x, x), axis=x.ndim - 1) for n, x in call.arrays.items()}
    for name in ("target", "negatives", "target_ids", "negative_ids", "negative_log_expected"):
        context.assert_raises(call.change(**{name: doubled[name]}))
        if name.startswith("negative") and len(call.arrays["negatives"]) > 1:
            context.assert_raises(call.change(**{name: call.arrays[name][:1]}))
    for name in ("user", "target", "negatives", "target_log_expected", "negative_log_expected"):
        context.assert_raises(call.change(**{name: call.arrays[name].astype(call.other_dtype)}))


@add_check("sampled_softmax-R15", draws=WITH_NEGATIVES)
def non_finite_log_expected_counts_raise(context: CheckContext, call: Call) -> None:
    """A log expected count that is infinite or NaN must raise an error."""
    context.run(call)
    for name in ("target_log_expected", "negative_log_expected"):
        for bad in (-np.inf, np.inf, np.nan):
            logs = replace_at(call.arrays[name], 0, bad)
            context.assert_raises(call.change(**{name: logs}))


@add_check("sampled_softmax-R16", draws=sampled_softmax_calls())
def invalid_temperature_raises(context: CheckContext, call: Call) -> None:
    """A temperature that is zero, negative, infinite or NaN must raise an error."""
    context.assert_each_raises(call, temperature=(0.0, -1.0, np.inf, np.nan))


@add_check("sampled_softmax-R17", draws=sampled_softmax_calls())
def batch_without_users_raises(context: CheckContext, call: Call) -> None:
    """A batch without users must raise an error."""
    context.run(call)
    of_users = ("user", "target", "target_ids", "target_log_expected")
    context.assert_raises(call.change(**{n: call.arrays[n][:0] for n in of_users}))
