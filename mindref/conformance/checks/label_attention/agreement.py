"""Compare label-aware attention with the reference, and test invalid arguments.

Spec: specs/label_attention.md.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from mindref.conformance.draws.call_changes import replace_at
from mindref.conformance.gradient import SHORT_STEP
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.check import add_check, add_comparison
from mindref.conformance.runner.context import CheckContext
from mindref.conformance.runner.gradient_check import assert_gradients_follow
from mindref.conformance.strategies import (
    Sizes,
    actives,
    distinct_sizes,
    generators,
    most_interests,
    normal,
    read_only,
    share_strategy,
)
from mindref.shapes import Array

POWERS = (1.0, 2.0, 0.5, 3.0, 5.0, 0.0, 100.0, np.inf)
SMOOTH_POWERS = (1.0, 2.0, 3.0, 0.5)
CONSTANT_POWERS = (0.0, np.inf)
SCORE_SCALES = (1.0, 0.03, 0.4, 3.0)
"""All scores of a call are multiplied by one of these factors."""


@share_strategy
@st.composite
def label_attention_calls(
    draw: st.DrawFn,
    *,
    powers: tuple[float, ...] = POWERS,
    spreads: tuple[float, ...] = SCORE_SCALES,
    sizes: Sizes = None,
) -> Call:
    """Draw a call with positive and negative scores; some interests are inactive."""
    b, k, d = sizes or draw(distinct_sizes(3))
    rng = draw(generators())
    active = draw(actives(b, k)) if sizes is None else most_interests(rng, b, k)
    if draw(st.booleans()):
        active = draw(generators()).permuted(active, axis=1)
    target = normal(rng, b, d)
    scores = draw_scores(rng, b, k) * draw(st.sampled_from(spreads))
    interests = interests_with_scores(rng, target, scores)
    if draw(st.booleans()):
        interests = np.where(active[..., None], interests, np.nan)
    arrays = {"interests": read_only(interests), "target": target, "active": active}
    power = draw(st.sampled_from(powers))
    return Call("label_attention", arrays, {"power": power}, normal(rng, b, d))


def draw_scores(rng: np.random.Generator, users: int, interests: int) -> Array:
    """Return scores (B, K) of both signs; |score| >= 0.2, and those of a user differ by 0.1."""
    size = 0.3 + 0.3 * np.arange(interests) + rng.uniform(-0.1, 0.1, (users, interests))
    return rng.permuted(size * rng.choice((-1.0, 1.0, 1.0), size.shape), axis=1)


def interests_with_scores(rng: np.random.Generator, target: Array, scores: Array) -> Array:
    """Return random interests (B, K, D) whose dot products with `target` (B, D) are `scores`."""
    interests = rng.standard_normal((*scores.shape, target.shape[1]))
    missing = scores - np.einsum("bkd,bd->bk", interests, target)
    along = target / np.sum(target**2, axis=1, keepdims=True)
    return interests + missing[..., None] * along[:, None]


SMOOTH = label_attention_calls(powers=(*SMOOTH_POWERS, 5.0))
CONSTANT = label_attention_calls(powers=CONSTANT_POWERS)


@add_comparison("label_attention-R1, R3", draws=label_attention_calls(powers=(1.0,)))
def power_one_matches_the_reference() -> None:
    """With p = 1, forward must match the reference."""


@add_comparison("label_attention-R2", draws=label_attention_calls(powers=(2.0, 0.5, 3.0, 5.0)))
def small_powers_match_the_reference() -> None:
    """With p = 0.5, 2, 3 or 5, forward must match the reference."""


@add_comparison("label_attention-R11", draws=label_attention_calls(powers=(100.0, 30.0)))
def large_powers_match_the_reference() -> None:
    """With p = 30 or 100, forward must match the reference."""


@add_comparison("label_attention-R5, R6", draws=CONSTANT)
def power_zero_and_infinity_match_the_reference() -> None:
    """With p = 0 or p = infinity, forward must match the reference."""


@add_comparison("label_attention-R8", draws=SMOOTH, parts=("d_interests",))
def interest_gradients_match_the_reference() -> None:
    """The gradient of the interests must match the reference."""


@add_comparison("label_attention-R9", draws=SMOOTH, parts=("d_target",))
def query_gradient_matches_the_reference() -> None:
    """The gradient of the target must match the reference."""


@add_comparison("label_attention-R10", draws=CONSTANT, gradient=True)
def constant_weight_gradients_match_the_reference() -> None:
    """With p = 0 or p = infinity, every gradient must match the reference."""


@add_check(
    "label_attention-R8, R9",
    draws=label_attention_calls(powers=SMOOTH_POWERS, spreads=(1.0, 0.5)),
    gradient=True,
    fraction=0.5,
)
def attention_gradients_match_finite_differences(context: CheckContext, call: Call) -> None:
    """In float64, the gradients must match central differences of the backend's forward."""
    assert_gradients_follow(context, call, step=SHORT_STEP)


@add_check("label_attention-R14", draws=label_attention_calls())
def attention_arrays_that_disagree_raise(context: CheckContext, call: Call) -> None:
    """A mask of integers, or arrays that disagree in shape or dtype, must raise an error."""
    context.run(call)
    target, active = call.arrays["target"], call.arrays["active"]
    context.assert_raises(call.change(target=np.concatenate((target, target), axis=1)))
    context.assert_raises(call.change(active=np.concatenate((active, active), axis=1)))
    context.assert_raises(call.change(target=target.astype(call.other_dtype)))
    context.assert_raises(call.change(active=active.astype(np.int64)))


@add_check("label_attention-R15", draws=label_attention_calls())
def negative_power_raises(context: CheckContext, call: Call) -> None:
    """A power that is negative or NaN must raise an error."""
    context.assert_each_raises(call, power=(-1.0, np.nan))


@add_check("label_attention-R16", draws=label_attention_calls())
def user_without_active_interest_raises(context: CheckContext, call: Call) -> None:
    """A user without any active interest must raise an error."""
    context.run(call)
    context.assert_raises(call.change(active=replace_at(call.arrays["active"], -1, False)))
