"""Checks of served interests: their number, and independence of the batch.

Spec: specs/model.md.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from mindref.conformance.draws.model_draws import (
    every_history_length,
    expected_active,
    serving_calls,
)
from mindref.conformance.runner.call import AnyArray, Call
from mindref.conformance.runner.check import add_check, add_comparison
from mindref.conformance.runner.context import CheckContext
from mindref.models.mind import Histories


@add_check("model-R6", draws=serving_calls(), stem="interests")
def inactive_interests_are_zero(context: CheckContext, call: Call) -> None:
    """Inactive interests must be exactly zero for any biases and profile."""
    got = context.run(call)
    active = expected_active(call)
    context.assert_exact(got, "active", active)
    context.assert_exact(got, "interests", 0, mask=~active[..., None])


@add_check("model-R3", draws=every_history_length(interest_count="log2"), stem="interests")
def number_of_interests_follows_equation_9(context: CheckContext, call: Call) -> None:
    """For n behaviours, max(1, min(K, floor(log2 n))) interests must be active, one for n = 0."""
    context.assert_exact(context.run(call), "active", expected_active(call))


@add_check("model-R7", draws=every_history_length(interest_count="fixed"), stem="interests")
def fixed_interest_count_activates_all(context: CheckContext, call: Call) -> None:
    """With interest_count="fixed", K interests must be active, or 1 without behaviours."""
    context.assert_exact(context.run(call), "active", expected_active(call))


@add_check("model-R17", draws=serving_calls(), stem="interests")
def empty_history_depends_on_the_profile_only(context: CheckContext, call: Call) -> None:
    """Without behaviours, one interest is active, and items, S and logits have no influence."""
    params, histories, _ = call.arrays.values()
    empty = histories._replace(mask=np.zeros_like(histories.mask))
    before = context.run(call.change(histories=empty))
    deaf = params._replace(items=1 - 2 * params.items, bilinear=-3 * params.bilinear)
    other = empty._replace(init_logits=2 - histories.init_logits)
    context.assert_exact(before, "active", np.arange(before["active"].shape[1]) == 0)
    context.assert_equal(context.run(call.change(params=deaf, histories=other)), before)


@add_check("model-R16", draws=serving_calls(), stem="interests")
def permuting_behaviours_leaves_the_interests(context: CheckContext, call: Call) -> None:
    """Permuting the positions of a history, with mask and logits, must not change the interests."""
    items, mask, logits, profile = call.arrays["histories"]
    order = context.rng.permutation(items.shape[1])
    shuffled = Histories(items[:, order], mask[:, order], logits[:, order], profile)
    context.assert_same(context.run(call), context.run(call.change(histories=shuffled)))


@add_check("model-R16", draws=serving_calls(), stem="interests")
def padding_leaves_the_interests(context: CheckContext, call: Call) -> None:
    """More padding, before and after the history, must not change the interests."""
    items, mask, logits, profile = call.arrays["histories"]
    around = ((0, 0), (2, 3))
    longer = Histories(
        np.pad(items, around, constant_values=-7),
        np.pad(mask, around),
        np.pad(logits, (*around, (0, 0)), constant_values=5),
        profile,
    )
    context.assert_same(context.run(call), context.run(call.change(histories=longer)))


@add_check("model-R16", draws=serving_calls(), stem="interests")
def interests_do_not_depend_on_the_batch(context: CheckContext, call: Call) -> None:
    """The interests of a user must not depend on the other users of the batch."""
    histories, together = call.arrays["histories"], context.run(call)
    for user in range(len(histories.mask)):
        one = slice(user, user + 1)
        single_user = context.run(call.change(histories=Histories(*(x[one] for x in histories))))
        through = dict.fromkeys(together, partial(take_users, users=one))
        context.assert_same(single_user, together, through=through)


@add_comparison("model-R17", draws=every_history_length(), stem="interests", fraction=0.3)
def interests_of_every_history_length_match() -> None:
    """For histories of 0, 1, 2, ... behaviours, the interests must match the reference."""


def take_users(x: AnyArray, users: slice) -> AnyArray:
    """Return the rows of these users."""
    return np.asarray(x[users])
