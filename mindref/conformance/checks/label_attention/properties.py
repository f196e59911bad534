"""Checks of properties of label-aware attention. Spec: specs/label_attention.md.

`with_scores` returns a call with chosen scores.
`with_weights_exposed` returns a call whose `out` ends with the K attention weights.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from mindref.conformance.checks.label_attention.agreement import (
    CONSTANT,
    CONSTANT_POWERS,
    POWERS,
    label_attention_calls,
)
from mindref.conformance.draws.call_changes import assert_selection_matches, replace_at
from mindref.conformance.draws.label_attention_changes import (
    assert_same_part,
    assert_selects_largest,
    distant_scores,
    exposed_weights,
    with_coordinates,
    with_scores,
    with_weights_exposed,
)
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.check import add_check
from mindref.conformance.runner.context import CheckContext
from mindref.conformance.runner.reference import ExpectedArray

FINITE = tuple(p for p in POWERS if p not in CONSTANT_POWERS)
HARD = (np.inf,)  # with this power, the largest score has weight 1
EQUAL = (-1.0, 0.0, 0.5, 1.0)  # all interests of a call get one of these scores
BEYOND_FLOAT32 = 1e39  # a finite power that is infinite in float32


@add_check("label_attention-R1", draws=label_attention_calls(powers=(1.0, 2.0)))
def zero_coordinates_change_no_score(context: CheckContext, call: Call) -> None:
    """Appending zero coordinates to interests and target must not change the scores."""
    width, names = call.arrays["target"].shape[1], ("interests", "target")
    longer = {n: with_coordinates(call.arrays[n], np.zeros(3 * width)) for n in names}
    wider = context.run(call.change(**longer))
    context.assert_same(context.run(call), wider, through={"out": lambda x: x[:, :width]})


@add_check("label_attention-R2", draws=label_attention_calls(powers=(2.0, 0.5, 3.0)))
def power_keeps_the_sign_of_the_score(context: CheckContext, call: Call) -> None:
    """Scores s with power p must give the same result as scores sign(s) |s|^p with power 1."""
    power, places = call.numbers["power"], call.arrays["active"].shape
    s = context.rng.choice([-2, -1, -0.5, 0, 0.5, 1, 2], places)
    s, raised = (s * np.abs(s), s) if power == 0.5 else (s, np.sign(s) * np.abs(s) ** power)
    first = context.run(with_scores(call, s))
    second = context.run(with_scores(call, raised).change(power=1.0))
    assert_same_part(context, first, second, lambda x: x[:, 1:])


@add_check("label_attention-R2", draws=label_attention_calls(powers=FINITE))
def weights_increase_with_the_score(context: CheckContext, call: Call) -> None:
    """For every power above 0, a larger score must not have a smaller weight."""
    scores = np.einsum("bkd,bd->bk", call.arrays["interests"], call.arrays["target"])
    order = np.argsort(np.where(call.arrays["active"], scores, -np.inf), axis=1)
    got = context.run(with_weights_exposed(call))
    weights, allowed = (np.take_along_axis(x, order, axis=1) for x in exposed_weights(context, got))
    falls = np.diff(weights, axis=1) < -(allowed[:, 1:] + allowed[:, :-1])
    context.assert_true(not falls.any(), "a larger score has a smaller weight", got, "out")


@add_check("label_attention-R3", draws=label_attention_calls())
def attention_weights_sum_to_one(context: CheckContext, call: Call) -> None:
    """The attention weights of a user must be at least 0 and sum to 1."""
    got = context.run(with_weights_exposed(call))
    weights, allowed = exposed_weights(context, got)
    context.assert_true((weights >= 0).all(), "a weight is negative", got, "out")
    ones = np.ones(len(weights))
    context.assert_within("weights, summed,", weights.sum(axis=1), ones, allowed.sum(axis=1))


@add_check("label_attention-R3", draws=label_attention_calls(), gradient=True)
def inactive_interests_are_not_attended(context: CheckContext, call: Call) -> None:
    """Removing inactive interests must not change the result or the remaining gradients."""
    users, k = call.arrays["active"].shape
    on = np.sort(context.rng.permutation(k)[: (k + 1) // 2])
    interests = np.nan_to_num(call.arrays["interests"])
    active = np.broadcast_to(np.isin(np.arange(k), on), (users, k))
    got = context.run(call.change(interests=interests, active=active))
    assert_selection_matches(context, got, "k", on)


@add_check("label_attention-R3", draws=label_attention_calls(), gradient=True)
def attention_does_not_depend_on_the_batch(context: CheckContext, call: Call) -> None:
    """The vector and gradients of a user must not depend on other users, nor on their order."""
    users = len(call.arrays["target"])
    one, in_reverse = [int(context.rng.integers(users))], np.arange(users)[::-1]
    for power in (call.numbers["power"], 0.0):
        got = context.run(call.change(power=power))
        for selected in (one, in_reverse):
            assert_selection_matches(context, got, "b", selected)


@add_check("label_attention-R4", draws=label_attention_calls(), gradient=True)
def inactive_interests_have_no_influence(context: CheckContext, call: Call) -> None:
    """Inactive interests, even NaN, must change no byte of the answer and must have gradient 0."""
    inactive = ~call.arrays["active"][..., None]
    interests = np.where(inactive, 0, call.arrays["interests"])
    got = context.run(call.change(interests=interests))
    for dirt in (np.nan, np.inf, 1e30):
        dirty = np.where(inactive, call.dtype.type(dirt), interests)
        context.assert_equal(context.run(call.change(interests=dirty)), got)
    context.assert_exact(got, "d_interests", 0, mask=inactive)


@add_check("label_attention-R5", draws=label_attention_calls(powers=(0.0,)), gradient=True)
def power_zero_ignores_the_target(context: CheckContext, call: Call) -> None:
    """With p = 0, another target must not change any byte of the answer."""
    got, target = context.run(call), call.arrays["target"]
    for other in (-target, np.zeros_like(target)):
        context.assert_equal(context.run(call.change(target=other)), got)


@add_check("label_attention-R6", draws=label_attention_calls(powers=HARD), gradient=True)
def power_infinity_selects_the_largest_score(context: CheckContext, call: Call) -> None:
    """With p = infinity, the result must be exactly the interest with the largest score."""
    places = call.arrays["active"].shape
    context.run(call)
    for scale in (1e-3, 1.0, 300.0):
        s = context.rng.permuted(np.tile(np.arange(places[1]) + 0.5, (places[0], 1)), axis=1)
        negative = context.rng.integers(0, 2, (places[0], 1))
        s -= places[1] * negative  # some users have negative scores only
        assert_selects_largest(context, with_scores(call, s * scale))


@add_check("label_attention-R6", draws=label_attention_calls(powers=HARD), gradient=True)
def power_infinity_breaks_ties_by_lowest_index(context: CheckContext, call: Call) -> None:
    """With p = infinity, the first active interest with the largest score must be selected."""
    context.run(call)
    scores = context.rng.integers(-1, 2, call.arrays["active"].shape)
    assert_selects_largest(context, with_scores(call, scores))


@add_check("label_attention-R7", draws=label_attention_calls())
def result_is_the_weighted_sum_of_interests(context: CheckContext, call: Call) -> None:
    """The result must be the sum of interests times attention weights."""
    got = context.run(with_weights_exposed(call))
    weights, allowed = exposed_weights(context, got)
    width = call.arrays["target"].shape[1]
    interests = np.where(call.arrays["active"][..., None], call.arrays["interests"], 0)
    result_error = context.expected(got.call)["out"].allowed[:, :width]
    weights_error = np.einsum("bk,bkd->bd", allowed, np.abs(interests).astype(np.float64))
    expected = np.einsum("bk,bkd->bd", weights, interests.astype(np.float64))
    context.assert_within("out", got["out"][:, :width], expected, result_error + weights_error)


@add_check("label_attention-R7", draws=label_attention_calls(powers=(*FINITE, 0.0)))
def equal_scores_average_the_interests(context: CheckContext, call: Call) -> None:
    """If all scores are equal, the result must be the mean of the active interests."""
    interests, active = call.arrays["interests"], call.arrays["active"]
    got = context.run(with_scores(call, np.full(active.shape, context.rng.choice(EQUAL))))
    seen = np.where(active[..., None], interests.astype(np.float64), 0)
    mean = seen.sum(axis=1) / active.sum(axis=1)[:, None]
    expected = ExpectedArray(mean, context.expected(got.call)["out"].allowed[:, 1:])
    worst = partial(context.worst_case, got.call, "out")
    context.assert_close("out", got["out"][:, 1:], expected, lambda: worst()[:, 1:])


@add_check("label_attention-R8", draws=label_attention_calls(), gradient=True)
def value_gradients_sum_to_the_cotangent(context: CheckContext, call: Call) -> None:
    """For each user, the gradients through the weighted sum of interests must sum to d_out."""
    scores = context.rng.choice([-1.5, -0.5, 0.5, 1, 1.25], call.arrays["active"].shape)
    got = context.run(with_scores(call, scores))
    allowed = context.expected(got.call)["d_interests"].allowed.sum(axis=1)[:, 1:]
    summed = got["d_interests"].astype(np.float64).sum(axis=1)[:, 1:]
    context.assert_within("d_interests, summed,", summed, call.cotangent, allowed)


@add_check("label_attention-R8", draws=label_attention_calls(powers=(1.0,)), gradient=True)
def score_gradients_sum_to_zero(context: CheckContext, call: Call) -> None:
    """With p = 1, the gradients of the scores of a user must sum to 0."""
    scores = context.rng.choice([-1.5, -0.5, 0, 0.5, 1], call.arrays["active"].shape)
    got = context.run(with_scores(call, scores))
    allowed = context.expected(got.call)["d_interests"].allowed[..., 0].sum(axis=1)
    summed = got["d_interests"][..., 0].astype(np.float64).sum(axis=1)
    context.assert_within("gradients of scores, summed,", summed, np.zeros(len(summed)), allowed)


@add_check("label_attention-R10", draws=CONSTANT, gradient=True)
def constant_weights_give_zero_target_gradient(context: CheckContext, call: Call) -> None:
    """With p = 0 or p = infinity, d_target must be exactly 0."""
    context.assert_exact(context.run(call), "d_target", 0)


@add_check("label_attention-R11", draws=label_attention_calls())
def overflowing_powers_select_the_largest_score(context: CheckContext, call: Call) -> None:
    """If p = 1000 or 5000 and every |score| is at least 2, the largest score must have weight 1."""
    context.run(call)
    for power in (1000.0, 5000.0):
        far = with_scores(call, distant_scores(context, call))
        assert_selects_largest(context, far.change(power=power))


@add_check("label_attention-R12", draws=label_attention_calls(powers=(0.5,)), gradient=True)
def zero_score_has_zero_gradient(context: CheckContext, call: Call) -> None:
    """For 0 < p < 1, a score of 0 must have gradient 0."""
    scores = context.rng.choice([-1, 0, 0.25, 4], call.arrays["active"].shape)
    scores[:, 0] = 0
    got = context.run(with_scores(call, scores))
    as_key = np.zeros(got["d_interests"].shape, bool)
    as_key[..., 0] = scores == 0
    context.assert_exact(got, "d_interests", 0, mask=as_key)


@add_check("label_attention-R13", draws=label_attention_calls(), gradient=True)
def overflowing_slope_gives_zero_gradient(context: CheckContext, call: Call) -> None:
    """If the slope p |s|^(p - 1) is not finite, the gradient of the score s must be exactly 0."""
    context.run(call)
    places = call.arrays["active"].shape
    cases = [(distant_scores(context, call), 5000.0), (np.full(places, 3.0), 5000.0)]
    cases.append((context.rng.choice([-0.5, 0.5, 2, 3], places), BEYOND_FLOAT32))
    for scores, power in cases:
        got = context.run(with_scores(call, scores).change(power=power))
        context.assert_exact(got, "d_target", 0)
        context.assert_exact(got, "d_interests", 0, mask=np.arange(got["out"].shape[1]) == 0)


@add_check("label_attention-R17", draws=label_attention_calls(), gradient=True)
def nan_target_propagates(context: CheckContext, call: Call) -> None:
    """A NaN target must make only the result of this user NaN; if p = 0, it must change nothing."""
    target = replace_at(call.arrays["target"], 0, np.nan)
    clean, got = context.run(call), context.run(call.change(target=target))
    if call.numbers["power"] == 0:
        context.assert_equal(got, clean)
        return
    context.assert_true(np.isnan(got["out"][0]).all(), "out is not NaN", got, "out")
    shows = np.isnan(got["d_interests"][0][call.arrays["active"][0]]).all()
    context.assert_true(shows, "d_interests is not NaN", got, "d_interests")
    context.assert_exact(got, "out", clean["out"], mask=np.arange(len(target))[:, None] > 0)
