"""Checks of the pooled loss, as a setting of mind_plus. Spec: specs/pooled_softmax.md.

A backend need not have the operator. The checks call the loss of the model.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from hypothesis import strategies as st

from mindref.conformance.draws.model_draws import loss_calls
from mindref.conformance.draws.training_draws import zero_gradient_batch
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.check import add_check, add_comparison
from mindref.conformance.runner.context import CheckContext
from mindref.models.mind import Histories

NOT_OBSERVED = {
    "pooled_softmax-R19": "the reference makes the arrays of a batch",
    "pooled_softmax-R21": "the reference reads the settings",
    "pooled_softmax-R22": "the reference reads the settings",
    "pooled_softmax-R23": "a mean over no users raises an error in any case",
    "pooled_softmax-R24": "each user of mind_plus has an active interest",
}
"""Rule of specs/pooled_softmax.md that the suite cannot test -> reason."""

SMALL = (2, 3, 4, 5)
"""Sizes of axes for which few products of an item and an interest are nearly equal."""

draw_pooled = partial(loss_calls, model="mind_plus", attention="pooled")
"""Draws calls that compute the pooled loss of a batch and its gradients."""

draw_several = partial(draw_pooled, interest_count="fixed", pool=SMALL)
"""Draws calls in which users with behaviours have several active interests."""


def with_equal_logs(call: Call) -> Call:
    """Return the call with the log expected count 0 of every negative."""
    batch = call.arrays["batch"]
    logs = np.zeros_like(batch.shared.negative_log_expected)
    return call.change(
        batch=batch._replace(shared=batch.shared._replace(negative_log_expected=logs))
    )


REPEATED = draw_pooled().map(with_equal_logs)
SHARP = draw_several(sharpness=np.inf)
OTHER = st.sampled_from((5e-5, 0.5, 3.0, 1000.0)).flatmap(
    lambda sharpness: draw_several(sharpness=sharpness)
)


@add_comparison(
    "pooled_softmax-R1, R4, R6, R7, R8, R9, R10",
    "mind_plus-R17",
    draws=draw_pooled(),
    parts=("loss",),
)
def pooled_loss_matches_the_reference() -> None:
    """With sharpness 1, the pooled loss of a batch must match the reference."""


@add_comparison(
    "pooled_softmax-R11, R10", draws=draw_pooled(normalise=True, temperature=0.3), parts=("loss",)
)
def normalised_pooled_loss_matches() -> None:
    """With normalise=True, the pooled loss must match the reference."""


@add_comparison("pooled_softmax-R2", draws=draw_pooled(sharpness=0.0), gradient=True, fraction=0.5)
def sharpness_zero_is_the_mean() -> None:
    """With sharpness 0, loss and gradients must match those of the mean score."""


@add_comparison("pooled_softmax-R3", draws=SHARP, gradient=True, fraction=0.5)
def infinite_sharpness_is_the_maximum() -> None:
    """With an infinite sharpness, loss and gradients must match those of the largest score."""


@add_comparison("pooled_softmax-R5, R1, R12", "mind_plus-R17", draws=OTHER, gradient=True)
def any_sharpness_matches_the_reference() -> None:
    """With a small or large sharpness, loss and gradients must match the reference."""


@add_comparison(
    "pooled_softmax-R8",
    draws=REPEATED,
    parts=("loss",),
    fraction=0.5,
)
def repeated_negative_counts_twice() -> None:
    """If a negative occurs twice with the same log expected count, the loss must match."""


@add_check(
    "pooled_softmax-R17",
    draws=draw_pooled(interest_count="log2", hidden=()),
    gradient=True,
    fraction=0.5,
)
def single_interest_is_not_pooled(context: CheckContext, call: Call) -> None:
    """If each user has one active interest, "pooled" and "mean" attention must be equal."""
    batch, config = call.arrays["batch"], call.numbers["config"]
    mask = batch.shared.histories.mask
    histories = batch.shared.histories._replace(mask=mask & (mask.cumsum(axis=1) <= 3))
    single = call.change(batch=batch._replace(shared=batch.shared._replace(histories=histories)))
    mean = single.change(config=replace(config, attention="mean"))
    context.assert_same(context.run(single), context.run(mean))


@add_check(
    "pooled_softmax-R18",
    draws=draw_several(recency="none") | draw_several(recency="none", sharpness=0.0),
    gradient=True,
    fraction=0.5,
)
def order_of_interests_changes_no_loss(context: CheckContext, call: Call) -> None:
    """Reversing the initial logits of the interests must not change loss or gradients."""
    batch = call.arrays["batch"]
    items, mask, logits, profile = batch.shared.histories
    reverse = Histories(items, mask, logits[..., ::-1].copy(), profile)
    other = batch._replace(shared=batch.shared._replace(histories=reverse))
    context.assert_same(context.run(call), context.run(call.change(batch=other)))


@add_check("pooled_softmax-R13", draws=draw_pooled(), gradient=True, fraction=0.5)
def user_without_negatives_has_no_loss(context: CheckContext, call: Call) -> None:
    """If every negative is an accidental hit of every user, loss and gradients must be 0."""
    context.run(call)
    batch = call.arrays["batch"]
    got = context.run(call.change(batch=batch._replace(shared=zero_gradient_batch(batch.shared))))
    for name in (name for name in got if name != "rows"):
        context.assert_exact(got, name, 0)


@add_check("pooled_softmax-R25", draws=draw_pooled(), fraction=0.5)
def product_that_is_not_finite_gives_nan(context: CheckContext, call: Call) -> None:
    """If the vector of a negative has a NaN or an infinity, the loss must be NaN."""
    context.run(call)
    params, batch, catalogue = call.arrays.values()
    for value in (np.nan, np.inf, -np.inf):
        items = params.items.copy()
        items[catalogue.rows[batch.shared.negatives[-1], 0], 0] = value
        got = context.run(call.change(params=params._replace(items=items)))
        context.assert_true(bool(np.isnan(got["loss"])), "the loss is not NaN", got, "loss")


@add_check("pooled_softmax-R20", draws=draw_pooled(), fraction=0.5)
def infinite_expected_count_raises(context: CheckContext, call: Call) -> None:
    """A log expected count that is infinite or NaN must raise an error."""
    context.run(call)
    batch = call.arrays["batch"]
    for name in ("target_log_expected", "negative_log_expected"):
        for value in (np.inf, np.nan):
            logs = getattr(batch.shared, name).copy()
            logs[-1] = value
            invalid = batch._replace(shared=batch.shared._replace(**{name: logs}))
            context.assert_raises(call.change(batch=invalid))


@add_comparison(
    "pooled_softmax-R14, R16, R4, R7, R8, R9, R10",
    draws=draw_pooled() | draw_pooled(iterations=1),
    gradient=True,
)
def pooled_gradients_match_the_reference() -> None:
    """With sharpness 1, the gradients of the pooled loss must match the reference."""


@add_comparison(
    "pooled_softmax-R11",
    draws=draw_pooled(normalise=True, temperature=0.3),
    gradient=True,
)
def normalised_pooled_gradients_match() -> None:
    """With normalise=True, the gradients of the pooled loss must match the reference."""


@add_comparison(
    "pooled_softmax-R15",
    draws=draw_several(temperature=0.05),
    gradient=True,
    fraction=0.5,
)
def gradient_of_a_confident_user_matches() -> None:
    """With a low temperature, the gradients of the pooled loss must match the reference."""
