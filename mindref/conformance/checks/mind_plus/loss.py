"""Checks of the loss and the gradients of mind_plus. Spec: specs/mind_plus.md."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from hypothesis import strategies as st

from mindref.conformance.checks.model import loss as model_checks
from mindref.conformance.draws.model_draws import looked_up_rows, loss_calls
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.check import add_check, add_comparison
from mindref.conformance.runner.context import CheckContext
from mindref.models.parameters import Params

draw_losses = partial(loss_calls, model="mind_plus")
"""Draws calls that compute the loss of a batch and its gradients with mind_plus."""

ALL_PATHS = draw_losses(routing_gradient="all", iterations=3)

LIKE_MIND = {
    "recency": "none", "contexts": 0, "votes": "matrix", "head": "layers", "dropout": 0.0,
}  # fmt: skip


@add_comparison("mind_plus-R17, R14", draws=draw_losses(dropout=0.3), parts=("loss",))
def loss_with_additions_matches_the_reference() -> None:
    """For all settings of mind_plus and given factors of dropout, the loss must match."""


@add_comparison(
    "mind_plus-R17",
    draws=st.sampled_from((0.5, 2.0)).flatmap(
        lambda power: draw_losses(attention="mean", power=power)
    ),
    parts=("loss",),
    fraction=0.5,
)
def mean_attention_of_additions_matches() -> None:
    """With attention="mean", the loss of mind_plus must match the reference."""


@add_check("mind_plus-R18", draws=draw_losses(), gradient=True, fraction=0.5)
def gradient_with_additions_lists_each_row_once(context: CheckContext, call: Call) -> None:
    """The gradient of the item table must list exactly the looked-up rows, in ascending order."""
    _, batch, catalogue = call.arrays.values()
    rows, expected = context.run(call)["rows"], looked_up_rows(batch.shared, catalogue)
    message = f"the gradient lists the rows {rows.tolist()}, expected {expected.tolist()}"
    context.assert_true(np.array_equal(rows, expected), message)


@add_check("mind_plus-R14", draws=draw_losses(dropout=0.3), gradient=True, fraction=0.5)
def padding_ignores_the_factors(context: CheckContext, call: Call) -> None:
    """Factors of dropout at padded positions must not change any byte."""
    batch, first = call.arrays["batch"], context.run(call)
    padding = ~batch.shared.histories.mask[..., None]
    other = batch._replace(keep=np.where(padding, 3 - batch.keep, batch.keep))
    context.assert_equal(context.run(call.change(batch=other)), first)


@add_check("mind_plus-R21", draws=draw_losses(**LIKE_MIND), gradient=True)
def without_additions_the_model_is_mind(context: CheckContext, call: Call) -> None:
    """Without additions, loss and gradients of mind_plus must equal those of MIND."""
    params, batch, _ = call.arrays.values()
    items, profile, bilinear, _, layers = params
    settings = replace(call.numbers["config"], model="mind")
    mind = call.change(
        params=Params(items, profile, bilinear, layers), batch=batch.shared, config=settings
    )
    got, expected = context.run(call), context.run(mind)
    context.assert_same(got, expected, *(name for name in expected if name != "rows"))


@add_check(
    "mind_plus-R18, R19",
    draws=draw_losses(iterations=1, power=1.0),
    gradient=True,
    fraction=0.5,
)
def additions_match_finite_differences(context: CheckContext, call: Call) -> None:
    """In float64, the gradients must match central differences of the backend's loss."""
    model_checks.model_gradients_match_finite_differences(context, call)


@add_comparison(
    "mind_plus-R19, R18, R8, R14", draws=draw_losses(dropout=0.3, iterations=1), gradient=True
)
def one_iteration_gradients_with_additions_match() -> None:
    """With one iteration and factors of dropout, every gradient must match the reference."""


@add_comparison("mind_plus-R18, R19, R8, R21", draws=draw_losses(), gradient=True)
def gradients_with_additions_match() -> None:
    """For all settings of mind_plus, the gradients of all parameters must match the reference."""


@add_comparison("mind_plus-R21", draws=ALL_PATHS, gradient=True, fraction=0.5)
def gradients_through_all_iterations_match() -> None:
    """With routing_gradient="all", the gradients of mind_plus must match the reference."""
