"""Checks of the steps from histories to interests, level 2. Spec: specs/model.md."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from mindref.conformance.draws.model_draws import replace_settings, serving_calls, with_layers
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.check import add_check, add_comparison
from mindref.conformance.runner.context import CheckContext
from mindref.models.parameters import Catalogue, Layer

NOT_OBSERVED = {
    "model-R19": "the reference scales the served interests; in the loss the rule is"
    " sampled_softmax-R7",
    "model-R20": "the reference draws the initial values",
    "model-R21": "a backend gets the parameters with their shapes",
    "model-R22": "flatten and unflatten are functions of the reference",
    **{f"model-R{n}": "the reference reads the settings" for n in (23, 24, 25, 26, 27, 28, 29)},
    **{f"model-R{n}": "the reference makes batches from a log" for n in range(30, 36)},
    **{f"model-R{n}": "the backend contract covers MIND only" for n in range(36, 41)},
}
"""Rules of the page that no call of a backend can show -> reason."""


@add_check("model-R1", draws=serving_calls(), stem="interests")
def two_half_weights_equal_weight_one(context: CheckContext, call: Call) -> None:
    """A feature row with weight 1 must equal the same row twice with weight 1/2, bit for bit."""
    ids = call.arrays["catalogue"].rows[:, :1]
    ones = np.ones(ids.shape, call.dtype)
    halves = Catalogue(np.tile(ids, 2), np.tile(ones / 2, 2))
    first = context.run(call.change(catalogue=Catalogue(ids, ones)))
    context.assert_equal(context.run(call.change(catalogue=halves)), first)


@add_check("model-R2", draws=serving_calls(features=2), stem="interests")
def profile_features_keep_their_order(context: CheckContext, call: Call) -> None:
    """Swapping two profile features and their rows of the first layer must change nothing."""
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
    """If rows D and later of the first weight are 0, the profile must not change any byte."""
    params, histories, _ = call.arrays.values()
    first, *later_layers = params.layers
    of_capsule = np.arange(len(first.weight))[:, None] < params.items.shape[1]
    weight = np.where(of_capsule, first.weight, 0)
    deaf = call.change(params=params._replace(layers=(Layer(weight, first.bias), *later_layers)))
    profile = context.rng.integers(0, len(params.profile), histories.profile.shape)
    before = context.run(deaf)
    other = deaf.change(histories=histories._replace(profile=profile))
    context.assert_equal(context.run(other), before)


@add_check("model-R5", draws=serving_calls(last_relu=False), stem="interests")
def last_layer_is_linear(context: CheckContext, call: Call) -> None:
    """Negating weight and bias of the last layer must negate every interest exactly."""
    *hidden, last = call.arrays["params"].layers
    turned = with_layers(call, (*hidden, Layer(-last.weight, -last.bias)))
    first = context.run(call)
    through = {"interests": np.negative}
    context.assert_equal(context.run(turned), first, "interests", through=through)


@add_check("model-R5", draws=serving_calls(hidden=(9,), last_relu=False), stem="interests")
def hidden_layers_use_relu(context: CheckContext, call: Call) -> None:
    """If no hidden unit is positive, the interest must be exactly the last bias."""
    hidden, last = call.arrays["params"].layers
    silent = with_layers(call, (Layer(hidden.weight, hidden.bias - 2**20), last))
    got = context.run(silent)
    context.assert_exact(got, "interests", last.bias, mask=got["active"][..., None])


@add_check("model-R5", draws=serving_calls(last_relu=True), stem="interests")
def last_relu_clips_the_last_layer(context: CheckContext, call: Call) -> None:
    """With last_relu, interests must be those of a linear last layer clipped at 0."""
    config = call.numbers["config"]
    linear = call.change(config=replace_settings(config, last_relu=False))
    rectify = {"interests": lambda x: np.maximum(x, 0)}
    context.assert_same(context.run(call), context.run(linear), "interests", through=rectify)


@add_check("model-R12", draws=serving_calls(routing="uniform"), stem="interests")
def uniform_routing_ignores_initial_logits(context: CheckContext, call: Call) -> None:
    """With routing="uniform", other initial logits must not change any byte of the answer."""
    histories = call.arrays["histories"]
    loud = histories._replace(init_logits=8 * histories.init_logits + 1)
    first = context.run(call)
    context.assert_equal(context.run(call.change(histories=loud)), first)


@add_comparison("model-R1, R2, R3, R4, R5, R6, R7", draws=serving_calls(), stem="interests")
def interests_match_the_reference() -> None:
    """For every named option, the interests and the active mask must match the reference."""


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
