"""Checks of the backend method `scores`. Spec: specs/backend.md, R24 to R27."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as st

from mindref.conformance.checks.numerics import GARBAGE
from mindref.conformance.checks.sizes import LongAxis, add_long_axis
from mindref.conformance.draws.call_changes import as_small_integers
from mindref.conformance.runner.call import AnyArray, Call, map_floats
from mindref.conformance.runner.check import add_check, add_comparison
from mindref.conformance.runner.context import CheckContext
from mindref.conformance.strategies import (
    POOL,
    Sizes,
    actives,
    distinct_sizes,
    generators,
    most_interests,
    normal,
    share_strategy,
)

SCALES = (1.0, 1e-3, 100.0)
LONG = {"B": (131, 3, 2, 5), "K": (3, 67, 2, 5), "D": (3, 2, 269, 5), "N": (3, 2, 5, 4_099)}
"""Axis that is long -> the sizes B, K, D and N."""


@share_strategy
@st.composite
def scoring_calls(draw: st.DrawFn, *, sizes: Sizes = None, offset: float = 0.0) -> Call:
    """Draw interests, a mask with scattered active interests, and items.

    offset: added to the interests and subtracted from the items. If it is large, all scores are
    negative.
    """
    b, k, d, n = sizes or draw(distinct_sizes(4, POOL[:6]))
    rng, scale = draw(generators()), draw(st.sampled_from(SCALES))
    active = draw(actives(b, k)) if sizes is None else most_interests(rng, b, k)
    active = rng.permuted(active, axis=1)
    interests = scale * (normal(rng, b, k, d) + offset)
    arrays = {"interests": interests, "active": active, "items": normal(rng, n, d) - offset}
    return Call("scores", arrays, {})


several_interests = scoring_calls(sizes=(5, 4, 3, 7)) | scoring_calls(sizes=(3, 6, 2, 5))
negative_scores = scoring_calls(offset=5.0) | scoring_calls(sizes=(5, 4, 3, 7), offset=5.0)


def integer_scores(call: Call) -> AnyArray:
    """Return the scores of small integers, which are exact."""
    interests, active, items = call.to(np.float64).arrays.values()
    products = np.array([[[v @ e for e in items] for v in user] for user in interests])
    return np.where(active[:, :, None], products, -np.inf).max(axis=1)


@add_check("backend-R24", stem="scores", draws=several_interests)
def scores_of_small_integers_are_exact(context: CheckContext, call: Call) -> None:
    """For small integers, each score must be the largest inner product, exactly."""
    call = as_small_integers(call)
    context.assert_exact(context.run(call), "scores", integer_scores(call))


@add_check("backend-R24, R25", stem="scores", draws=negative_scores)
def negative_scores_stay_negative(context: CheckContext, call: Call) -> None:
    """If all inner products are negative, the score must be the largest of them, not 0."""
    call = as_small_integers(call)
    interests, _, items = call.arrays.values()
    call = call.change(
        interests=np.ones_like(interests) + np.abs(interests), items=-1 - np.abs(items)
    )
    context.assert_exact(context.run(call), "scores", integer_scores(call))


@add_check("backend-R24", stem="scores", draws=scoring_calls())
def doubled_interests_double_the_scores(context: CheckContext, call: Call) -> None:
    """If all interests are multiplied by 2, or all items, each score must be exactly doubled."""
    first = context.run(call)
    for name in ("interests", "items"):
        doubled = context.run(call.change(**{name: 2 * call.arrays[name]}))
        context.assert_equal(doubled, first, through={"scores": lambda x: 2 * x})


@add_check("backend-R24", stem="scores", draws=several_interests)
def one_more_active_interest_lowers_no_score(context: CheckContext, call: Call) -> None:
    """If one more interest is active, no score may be lower; small integers make this exact."""
    call = as_small_integers(call)
    active = call.arrays["active"]
    wider = active.copy()
    wider[np.arange(len(active)), np.argmin(active, axis=1)] = True
    before, after = context.run(call)["scores"], context.run(call.change(active=wider))
    lower = after["scores"] < before
    context.assert_true(not lower.any(), "an active interest lowered a score", after, "scores")


@add_check("backend-R24", stem="scores", draws=scoring_calls())
def permuting_interests_leaves_the_scores(context: CheckContext, call: Call) -> None:
    """Permuting the interests of all users together with `active` must not change a score."""
    interests, active, _ = call.arrays.values()
    order = context.rng.permutation(active.shape[1])
    permuted = call.change(interests=interests[:, order], active=active[:, order])
    context.assert_same(context.run(permuted), context.run(call))


@add_check("backend-R25", stem="scores", draws=several_interests)
def inactive_interests_change_no_score(context: CheckContext, call: Call) -> None:
    """The vector of an inactive interest, also NaN or infinity, must not change any byte."""
    interests, active, _ = call.arrays.values()
    clean = context.run(call)
    for garbage in (0, np.nan, context.rng.choice(GARBAGE, interests.shape)):
        dirty = np.where(active[:, :, None], interests, garbage).astype(call.dtype)
        context.assert_equal(context.run(call.change(interests=dirty)), clean)


@add_check("backend-R26", stem="scores", draws=scoring_calls(sizes=(5, 4, 3, 7)))
def user_without_an_active_interest_has_no_score(context: CheckContext, call: Call) -> None:
    """If a user has no active interest, each score must be minus infinity."""
    context.run(call)
    active = call.arrays["active"].copy()
    active[1] = False
    got = context.run(call.change(active=active))
    context.assert_exact(got, "scores", -np.inf, mask=(np.arange(len(active)) == 1)[:, None])


@add_check("backend-R26", stem="scores", draws=scoring_calls())
def scores_do_not_depend_on_other_users_and_items(context: CheckContext, call: Call) -> None:
    """The scores of some users and items must equal those computed for these users and items."""
    interests, active, items = call.arrays.values()
    together = context.run(call)
    for users, columns in ((slice(0, 1), slice(None)), (slice(None), slice(0, 1))):
        part = call.change(interests=interests[users], active=active[users], items=items[columns])
        through = {"scores": partial(take_part, users=users, columns=columns)}
        context.assert_same(context.run(part), together, through=through)
    order = context.rng.permutation(len(items))
    permuted = context.run(call.change(items=items[order]))
    context.assert_same(permuted, together, through={"scores": lambda x: x[:, order]})


@add_check("backend-R26", stem="scores", draws=scoring_calls())
def empty_axes_give_empty_scores(context: CheckContext, call: Call) -> None:
    """If an axis has size 0, the shape must be (B, N); without interests, -inf is each score."""
    interests, active, items = call.arrays.values()
    context.run(call)
    users = context.run(call.change(interests=interests[:0], active=active[:0]))["scores"]
    context.assert_true(users.shape == (0, len(items)), f"no users: shape {users.shape}")
    columns = context.run(call.change(items=items[:0]))["scores"]
    context.assert_true(columns.shape == (len(active), 0), f"no items: shape {columns.shape}")
    none = context.run(call.change(interests=interests[:, :0], active=active[:, :0]))
    context.assert_true(none["scores"].shape == (len(active), len(items)), "no interests: shape")
    context.assert_exact(none, "scores", -np.inf)
    narrow = context.run(call.change(interests=interests[..., :0], items=items[:, :0]))
    context.assert_exact(narrow, "scores", 0, mask=active.any(axis=1)[:, None])


@add_check("backend-R27", stem="scores", draws=scoring_calls(sizes=(5, 4, 3, 7)))
def invalid_arrays_raise(context: CheckContext, call: Call) -> None:
    """Inconsistent shapes, mixed dtypes, integers and numeric masks must raise an error."""
    interests, active, items = call.arrays.values()
    context.run(call)
    changes: tuple[dict[str, Any], ...] = (
        {"interests": interests[:, :2]},
        {"interests": interests[..., :2]},
        {"active": active[:3]},
        {"active": active[:, :1]},
        {"active": active[0]},
        {"items": items[:, :1]},
        {"items": items[0]},
        {"items": items.astype(call.other_dtype)},
        {"active": active.astype(np.int64)},
        {"active": active.astype(call.dtype)},
    )
    for change in changes:
        context.assert_raises(call.change(**change))
    integers = map_floats(lambda x: np.rint(x).astype(np.int64), call.arrays)
    context.assert_raises(call._replace(arrays=integers))


@add_comparison("backend-R24", stem="scores", draws=scoring_calls() | several_interests)
def scores_match_the_reference() -> None:
    """Each score must match the maximum over the active interests of the inner products."""


def take_part(x: AnyArray, users: slice, columns: slice) -> AnyArray:
    """Return the scores of some users and items."""
    return np.asarray(x[users, columns])


for axis, sizes in LONG.items():
    add_long_axis(
        LongAxis("scores", axis, max(sizes), scoring_calls(sizes=sizes)), "backend-R24", __name__
    )
