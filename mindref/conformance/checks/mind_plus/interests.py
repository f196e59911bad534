"""Checks of the backend method `interests` for mind_plus. Spec: specs/mind_plus.md."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from mindref.conformance.checks.model import interests as model_checks
from mindref.conformance.draws.model_draws import serving_calls, with_layers
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.check import add_check, add_comparison
from mindref.conformance.runner.context import CheckContext
from mindref.models.parameters import Layer

NOT_OBSERVED = {
    "mind_plus-R2": "the reference draws the initial values",
    "mind_plus-R13": "the reference reads the settings",
    "mind_plus-R15": "the reference draws the factors of dropout",
    "mind_plus-R20": "the reference draws the initial values",
    "mind_plus-R22": "the rule concerns the presets of mindref",
    "mind_plus-R23": "the reference draws the initial values",
    "mind_plus-R24": "the reference draws the factors of dropout",
    "mind_plus-R25": "the term is added to the scores in serving",
    "mind_plus-R26": "validation chooses the term",
    "mind_plus-R27": "the lengths are applied in serving, to the vectors of any backend",
    "mind_plus-R28": "validation chooses the exponent",
}
"""Rule of specs/mind_plus.md that the suite cannot test -> reason."""

draw_served = partial(serving_calls, model="mind_plus")
"""Draws calls that compute the interests of users with mind_plus."""


@add_comparison(
    "mind_plus-R3, R1, R4, R6, R7, R8, R9, R10, R11, R12", draws=draw_served(), stem="interests"
)
def additions_match_the_reference() -> None:
    """For all settings of mind_plus, interests and the mask `active` must match the reference."""


@add_comparison(
    "mind_plus-R7, R6, R9",
    draws=draw_served(contexts=2) | draw_served(contexts=2, routing_axis="behaviours"),
    stem="interests",
)
def two_contexts_match_the_reference() -> None:
    """With two contexts, the interests must match the reference."""


@add_check("mind_plus-R1", draws=draw_served(recency="interests"), stem="interests")
def padding_changes_no_age(context: CheckContext, call: Call) -> None:
    """Additional padding before and after a history must not change the interests."""
    model_checks.padding_leaves_the_interests(context, call)


@add_check("mind_plus-R3", draws=draw_served(recency="shared"), stem="interests")
def shared_column_equals_equal_columns(context: CheckContext, call: Call) -> None:
    """With recency="shared", interests must equal those of K equal columns of log weights."""
    config, params = call.numbers["config"], call.arrays["params"]
    shared, contexts = np.split(params.positions, [1], axis=1)
    columns = np.concatenate([np.repeat(shared, config.interests, axis=1), contexts], axis=1)
    separate = call.change(
        params=params._replace(positions=columns),
        config=replace(config, recency="interests"),
    )
    context.assert_same(context.run(call), context.run(separate))


@add_check("mind_plus-R5", draws=draw_served(recency="interests"), stem="interests", fraction=0.5)
def age_beyond_the_table_raises(context: CheckContext, call: Call) -> None:
    """A history longer than the table of log weights must raise an error."""
    params, histories, _ = call.arrays.values()
    context.run(call)
    short = params._replace(positions=params.positions[: histories.mask.shape[1] - 1])
    full = histories._replace(
        items=np.zeros_like(histories.items), mask=np.ones_like(histories.mask)
    )
    context.assert_raises(call.change(params=short, histories=full))


@add_check(
    "mind_plus-R6", draws=draw_served(contexts=2, head="layers", hidden=(9,)), stem="interests"
)
def routing_changes_no_context(context: CheckContext, call: Call) -> None:
    """If the layers ignore the capsules, the initial logits must not change any interest."""
    params, histories, _ = call.arrays.values()
    first, *later_layers = params.layers
    of_capsule = np.arange(len(first.weight))[:, None] < params.items.shape[1]
    blind = Layer(np.where(of_capsule, 0, first.weight), first.bias)
    before = with_layers(call, (blind, *later_layers))
    logits = 2 - 3 * histories.init_logits
    other = before.change(histories=histories._replace(init_logits=logits))
    context.assert_same(context.run(before), context.run(other))


@add_check("mind_plus-R6", draws=draw_served(contexts=1), stem="interests", fraction=0.5)
def empty_history_has_zero_contexts(context: CheckContext, call: Call) -> None:
    """Without behaviours, item table, votes and log weights must change no byte."""
    params, histories, _ = call.arrays.values()
    empty = call.change(histories=histories._replace(mask=np.zeros_like(histories.mask)))
    tables = {name: 1 - 2 * getattr(params, name) for name in ("items", "bilinear", "positions")}
    before = context.run(empty)
    context.assert_equal(context.run(empty.change(params=params._replace(**tables))), before)


@add_check("mind_plus-R7", draws=draw_served(contexts=2, head="layers"), stem="interests")
def context_ignores_other_contexts(context: CheckContext, call: Call) -> None:
    """If the layers ignore context two, interests must equal those of a model without it."""
    config, params = call.numbers["config"], call.arrays["params"]
    first, *later_layers = params.layers
    num_rows = len(first.weight) - params.items.shape[1]
    rows = np.arange(len(first.weight))[:, None] < num_rows
    zeroed = Layer(np.where(rows, first.weight, 0), first.bias)
    one_context = params._replace(
        positions=params.positions[:, :-1],
        layers=(Layer(first.weight[:num_rows], first.bias), *later_layers),
    )
    other = call.change(params=one_context, config=replace(config, contexts=1))
    context.assert_same(context.run(with_layers(call, (zeroed, *later_layers))), context.run(other))


@add_check("mind_plus-R8", draws=draw_served(votes="items"), stem="interests")
def item_votes_equal_votes_of_the_identity(context: CheckContext, call: Call) -> None:
    """With votes="items", interests must equal those of votes="matrix" with S the identity."""
    config, params = call.numbers["config"], call.arrays["params"]
    identity = np.eye(config.width, dtype=call.dtype)
    matrix = call.change(
        params=params._replace(bilinear=identity), config=replace(config, votes="matrix")
    )
    context.assert_same(context.run(call), context.run(matrix))


@add_check("mind_plus-R10, R11", draws=draw_served(head="residual"), stem="interests")
def zero_layers_leave_the_capsule(context: CheckContext, call: Call) -> None:
    """If the last layer is 0, head="residual" must give the capsules, as head="none"."""
    config, params = call.numbers["config"], call.arrays["params"]
    *hidden, last = params.layers
    zeros = Layer(np.zeros_like(last.weight), np.zeros_like(last.bias))
    columns = params.positions.shape[1] - config.contexts
    capsules = call.change(
        params=params._replace(layers=(), positions=params.positions[:, :columns]),
        config=replace(config, head="none", contexts=0),
    )
    context.assert_same(context.run(with_layers(call, (*hidden, zeros))), context.run(capsules))


@add_check("mind_plus-R12", draws=draw_served(), stem="interests")
def inactive_additions_are_zero(context: CheckContext, call: Call) -> None:
    """Inactive interests must be exactly 0, whatever bias, profile and contexts are."""
    model_checks.inactive_interests_are_zero(context, call)


@add_check("mind_plus-R16", draws=draw_served(dropout=0.5), stem="interests", fraction=0.5)
def serving_ignores_dropout(context: CheckContext, call: Call) -> None:
    """The setting `dropout` must not change any byte of the interests."""
    config = replace(call.numbers["config"], dropout=0.0)
    context.assert_equal(context.run(call), context.run(call.change(config=config)))


@add_comparison(
    "mind_plus-R21",
    draws=draw_served(recency="interests", routing_axis="behaviours")
    | draw_served(recency="interests", routing="uniform"),
    stem="interests",
    fraction=0.5,
)
def routing_settings_match_the_reference() -> None:
    """With another routing axis or uniform routing, the interests must match the reference."""
