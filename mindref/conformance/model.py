"""What is asked of the way from histories to interests, at level 2. Spec: specs/model.md."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from mindref.conformance.draws.worlds import changed, servings, with_layers
from mindref.conformance.judging.call import Call
from mindref.conformance.judging.check import check
from mindref.conformance.judging.judge import Judge
from mindref.models.parameters import Catalogue, Layer

NOT_OBSERVED = {
    "model-R19": "interests come back as the layers leave them; the reference scales what it"
    " serves, and in the loss it is sampled_softmax-R7",
    "model-R20": "initial values are drawn by the reference and given to a backend",
    "model-R21": "the shapes of parameters are given",
    "model-R22": "flatten and unflatten are the reference's",
    **{f"model-R{n}": "settings are read by the reference" for n in (23, 24, 25, 26, 27, 28, 29)},
    **{f"model-R{n}": "a log becomes batches in the reference" for n in range(30, 36)},
    **{f"model-R{n}": "a backend is asked for MIND alone" for n in range(36, 41)},
}
"""Rules of the page that no question to a backend can show, and why."""


@check("model-R1", draws=servings(), stem="interests")
def an_item_of_two_equal_halves_is_the_whole(judge: Judge, call: Call) -> None:
    """A row with weight one, or twice with a half, is the same item, bit for bit."""
    ids = call.arrays["catalogue"].rows[:, :1]
    ones = np.ones(ids.shape, call.dtype)
    halves = Catalogue(np.tile(ids, 2), np.tile(ones / 2, 2))
    first = judge.ask(call.change(catalogue=Catalogue(ids, ones)))
    judge.equal(judge.ask(call.change(catalogue=halves)), first)


@check("model-R2", draws=servings(features=2), stem="interests")
def features_of_users_stand_in_their_order(judge: Judge, call: Call) -> None:
    """Two features that change places, with the rows of the first layer, change nothing."""
    params, histories, _ = call.arrays.values()
    first, *rest = params.layers
    capsule, one, two = np.split(first.weight, [params.items.shape[1], -params.profile.shape[1]])
    swapped = Layer(np.concatenate([capsule, two, one]), first.bias)
    other = call.change(
        params=params._replace(layers=(swapped, *rest)),
        histories=histories._replace(profile=histories.profile[:, ::-1].copy()),
    )
    judge.same(judge.ask(call), judge.ask(other))


@check("model-R4", draws=servings(features=2), stem="interests")
def rows_after_those_of_the_capsule_belong_to_the_profile(judge: Judge, call: Call) -> None:
    """With zeros in the rows of the first layer after the first D, no profile has any influence."""
    params, histories, _ = call.arrays.values()
    first, *rest = params.layers
    weight = np.where(
        np.arange(len(first.weight))[:, None] < params.items.shape[1], first.weight, 0
    )
    deaf = call.change(params=params._replace(layers=(Layer(weight, first.bias), *rest)))
    profile = judge.rng.integers(0, len(params.profile), histories.profile.shape)
    before = judge.ask(deaf)
    judge.equal(judge.ask(deaf.change(histories=histories._replace(profile=profile))), before)


@check("model-R5", draws=servings(last_relu=False), stem="interests")
def the_last_layer_is_linear(judge: Judge, call: Call) -> None:
    """Weight and bias of the last layer with the other sign turn every interest round, exactly."""
    *rest, last = call.arrays["params"].layers
    turned = with_layers(call, (*rest, Layer(-last.weight, -last.bias)))
    first = judge.ask(call)
    judge.equal(judge.ask(turned), first, "interests", through={"interests": np.negative})


@check("model-R5", draws=servings(hidden=(9,), last_relu=False), stem="interests")
def hidden_layers_are_rectified(judge: Judge, call: Call) -> None:
    """Where no sum of the hidden layer is positive, the bias of the last one is all there is."""
    hidden, last = call.arrays["params"].layers
    silent = with_layers(call, (Layer(hidden.weight, hidden.bias - 2**20), last))
    got = judge.ask(silent)
    judge.exactly(got, "interests", last.bias, where=got["active"][..., None])


@check("model-R5", draws=servings(last_relu=True), stem="interests")
def the_last_layer_is_rectified_if_asked(judge: Judge, call: Call) -> None:
    """With last_relu the interests are those of a linear last layer, negative numbers made zero."""
    config = call.numbers["config"]
    linear = call.change(config=changed(config, last_relu=False))
    rectify = {"interests": lambda x: np.maximum(x, 0)}
    judge.same(judge.ask(call), judge.ask(linear), "interests", through=rectify)


@check("model-R12", draws=servings(routing="uniform"), stem="interests")
def uniform_routing_knows_no_logits(judge: Judge, call: Call) -> None:
    """With routing "uniform" other initial logits leave the interests, byte for byte."""
    histories = call.arrays["histories"]
    loud = histories._replace(init_logits=8 * histories.init_logits + 1)
    first = judge.ask(call)
    judge.equal(judge.ask(call.change(histories=loud)), first)


@check(
    *("model-R1", "model-R2", "model-R3", "model-R4", "model-R5", "model-R6", "model-R7"),
    draws=servings(),
    stem="interests",
    agreement=True,
)
def interests_are_those_of_the_reference(judge: Judge, call: Call) -> None:
    """Interests, and which are active, agree with the reference under every named option."""
    judge.agree(call)


@check("model-R12", draws=servings(routing="uniform"), stem="interests", agreement=True, share=0.5)
def interests_of_uniform_routing_are_those_of_the_reference(judge: Judge, call: Call) -> None:
    """With routing "uniform" interests agree with the reference: one round of equal weights."""
    judge.agree(call)


@check(
    "model-R13",
    draws=st.sampled_from(("unit", "none")).flatmap(
        lambda kind: servings(squash=kind, iterations=3, hidden=())
    ),
    stem="interests",
    agreement=True,
    share=0.5,
)
def the_named_squash_reaches_every_round(judge: Judge, call: Call) -> None:
    """With squash "unit" or "none" the interests after three rounds agree with the reference."""
    judge.agree(call)
