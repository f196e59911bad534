"""Checks of the backend method `interests`. Spec: specs/model.md."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from hypothesis import strategies as st

from mindref.conformance.draws.model_draws import (
    every_history_length,
    expected_active,
    long_history_lengths,
    serving_calls,
    with_layers,
)
from mindref.conformance.runner.call import AnyArray, Call
from mindref.conformance.runner.check import add_check, add_comparison
from mindref.conformance.runner.context import CheckContext
from mindref.models.mind import Histories
from mindref.models.parameters import Catalogue, Layer

NOT_OBSERVED = {
    "model-R19": "the reference scales the served interests;"
    " sampled_softmax-R7 is the same rule for the loss",
    "model-R20": "the reference draws the initial values",
    "model-R21": "a backend receives parameters that already have their shapes",
    "model-R22": "flatten and unflatten are functions of the reference",
    **{f"model-R{n}": "the reference reads the settings" for n in (23, 24, 25, 26, 27, 28, 29)},
    **{f"model-R{n}": "the reference makes batches from a log" for n in range(30, 36)},
    **{f"model-R{n}": "the rule concerns the choice of the family" for n in range(36, 41)},
    **{
        f"model-R{n}": "the rule concerns the interfaces and files of mindref"
        for n in (*range(41, 64), *range(66, 82))
    },
    **{
        f"model-R{n}": "the rule concerns the arguments of the functions of mindref"
        for n in (64, 65)
    },
}
"""Rule of specs/model.md that the suite cannot test -> reason."""


@add_check("model-R1", draws=serving_calls(), stem="interests")
def two_half_weights_equal_weight_one(context: CheckContext, call: Call) -> None:
    """A table row used twice with weight 1/2 must give the same bytes as once with weight 1."""
    ids = call.arrays["catalogue"].rows[:, :1]
    ones = np.ones(ids.shape, call.dtype)
    halves = Catalogue(np.tile(ids, 2), np.tile(ones / 2, 2))
    first = context.run(call.change(catalogue=Catalogue(ids, ones)))
    context.assert_equal(context.run(call.change(catalogue=halves)), first)


@add_check("model-R2", draws=serving_calls(features=2), stem="interests")
def profile_features_keep_their_order(context: CheckContext, call: Call) -> None:
    """Swapping two profile features and their weight rows must not change the interests."""
    params, histories, _ = call.arrays.values()
    first, *later_layers = params.layers
    capsule, one, two = np.split(first.weight, [params.items.shape[1], -params.profile.shape[1]])
    swapped = Layer(np.concatenate([capsule, two, one]), first.bias)
    other = call.change(
        params=params._replace(layers=(swapped, *later_layers)),
        histories=histories._replace(profile=histories.profile[:, ::-1].copy()),
    )
    context.assert_same(context.run(call), context.run(other))


@add_check("model-R4", draws=serving_calls(features=2), stem="interests")
def later_first_layer_rows_belong_to_the_profile(context: CheckContext, call: Call) -> None:
    """If weight rows D and later of layer 1 are 0 (D: width), the profile must change no byte."""
    params, histories, _ = call.arrays.values()
    first, *later_layers = params.layers
    of_capsule = np.arange(len(first.weight))[:, None] < params.items.shape[1]
    weight = np.where(of_capsule, first.weight, 0)
    changed_params = call.change(
        params=params._replace(layers=(Layer(weight, first.bias), *later_layers))
    )
    profile = context.rng.integers(0, len(params.profile), histories.profile.shape)
    before = context.run(changed_params)
    other = changed_params.change(histories=histories._replace(profile=profile))
    context.assert_equal(context.run(other), before)


@add_check("model-R5", draws=serving_calls(last_relu=False), stem="interests")
def last_layer_is_linear(context: CheckContext, call: Call) -> None:
    """With last_relu=False, negating the last layer must negate every interest exactly."""
    *hidden, last = call.arrays["params"].layers
    negated = with_layers(call, (*hidden, Layer(-last.weight, -last.bias)))
    first = context.run(call)
    through = {"interests": np.negative}
    context.assert_equal(context.run(negated), first, "interests", through=through)


@add_check("model-R5", draws=serving_calls(hidden=(9,), last_relu=False), stem="interests")
def hidden_layers_use_relu(context: CheckContext, call: Call) -> None:
    """If ReLU makes all hidden units 0, active interests must equal the bias of the last layer."""
    hidden, last = call.arrays["params"].layers
    zero_hidden = with_layers(call, (Layer(hidden.weight, hidden.bias - 2**20), last))
    got = context.run(zero_hidden)
    context.assert_exact(got, "interests", last.bias, mask=got["active"][..., None])


@add_check("model-R5", draws=serving_calls(last_relu=True), stem="interests")
def last_relu_clips_the_last_layer(context: CheckContext, call: Call) -> None:
    """With last_relu=True, interests must be the interests of last_relu=False, clipped at 0."""
    config = call.numbers["config"]
    linear = call.change(config=replace(config, last_relu=False))
    rectify = {"interests": lambda x: np.maximum(x, 0)}
    context.assert_same(context.run(call), context.run(linear), "interests", through=rectify)


@add_check("model-R12", draws=serving_calls(routing="uniform"), stem="interests")
def uniform_routing_ignores_initial_logits(context: CheckContext, call: Call) -> None:
    """With routing="uniform", other initial logits must not change any byte of the answer."""
    histories = call.arrays["histories"]
    changed_logits = histories._replace(init_logits=8 * histories.init_logits + 1)
    first = context.run(call)
    context.assert_equal(context.run(call.change(histories=changed_logits)), first)


@add_comparison("model-R1, R2, R3, R4, R5, R6, R7", draws=serving_calls(), stem="interests")
def interests_match_the_reference() -> None:
    """For all options of the model, interests and the mask `active` must match the reference."""


@add_comparison("model-R12", draws=serving_calls(routing="uniform"), stem="interests", fraction=0.5)
def uniform_routing_interests_match_the_reference() -> None:
    """With routing="uniform", the interests must match the reference."""


@add_comparison(
    "model-R13",
    draws=st.sampled_from(("unit", "none")).flatmap(
        lambda kind: serving_calls(squash=kind, iterations=3, hidden=())
    ),
    stem="interests",
    fraction=0.5,
)
def squash_setting_applies_to_every_iteration() -> None:
    """With squash="unit" or "none", interests after three iterations must match the reference."""


@add_check("model-R6", draws=serving_calls(), stem="interests")
def inactive_interests_are_zero(context: CheckContext, call: Call) -> None:
    """Inactive interests must be exactly 0."""
    got = context.run(call)
    active = expected_active(call)
    context.assert_exact(got, "active", active)
    context.assert_exact(got, "interests", 0, mask=~active[..., None])


@add_check("model-R3", draws=every_history_length(interest_count="log2"), stem="interests")
def number_of_interests_follows_equation_9(context: CheckContext, call: Call) -> None:
    """For n behaviours, max(1, min(K, floor(log2 n))) interests must be active; for n = 0, one."""
    context.assert_exact(context.run(call), "active", expected_active(call))


@add_check("model-R3", draws=long_history_lengths(), stem="interests", fraction=0.2)
def number_of_interests_of_long_histories_follows_equation_9(
    context: CheckContext, call: Call
) -> None:
    """For n from 0 to 513 behaviours and K = 10, the number of active interests must be right."""
    context.assert_exact(context.run(call), "active", expected_active(call))


@add_check("model-R7", draws=every_history_length(interest_count="fixed"), stem="interests")
def fixed_interest_count_activates_all(context: CheckContext, call: Call) -> None:
    """With interest_count="fixed", K interests must be active, or one if there is no behaviour."""
    context.assert_exact(context.run(call), "active", expected_active(call))


@add_check("model-R17", draws=serving_calls(), stem="interests")
def empty_history_depends_on_the_profile_only(context: CheckContext, call: Call) -> None:
    """Without behaviours, item table, S and initial logits must not change the active interest."""
    params, histories, _ = call.arrays.values()
    empty = histories._replace(mask=np.zeros_like(histories.mask))
    before = context.run(call.change(histories=empty))
    changed_params = params._replace(items=1 - 2 * params.items, bilinear=-3 * params.bilinear)
    other = empty._replace(init_logits=2 - histories.init_logits)
    context.assert_exact(before, "active", np.arange(before["active"].shape[1]) == 0)
    context.assert_equal(context.run(call.change(params=changed_params, histories=other)), before)


@add_check("model-R16", draws=serving_calls(), stem="interests")
def permuting_behaviours_leaves_the_interests(context: CheckContext, call: Call) -> None:
    """Permuting items, mask and logits of a history together must not change the interests."""
    items, mask, logits, profile = call.arrays["histories"]
    order = context.rng.permutation(items.shape[1])
    shuffled = Histories(items[:, order], mask[:, order], logits[:, order], profile)
    context.assert_same(context.run(call), context.run(call.change(histories=shuffled)))


@add_check("model-R16", draws=serving_calls(), stem="interests")
def padding_leaves_the_interests(context: CheckContext, call: Call) -> None:
    """Additional padding before and after a history must not change the interests."""
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
    """For histories of 0 to 17 behaviours, the interests must match the reference."""


def take_users(x: AnyArray, users: slice) -> AnyArray:
    """Return the rows `users` of `x`."""
    return np.asarray(x[users])
