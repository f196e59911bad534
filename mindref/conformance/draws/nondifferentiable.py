"""Test whether a model call is far from all points where the loss has no derivative.

Such points are a ReLU input of 0, two equal scores and a score of 0. Near such a point, rounding
may change a sign or the order of scores. Then two correct gradients can differ a lot.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from mindref import ops
from mindref.config import Config
from mindref.conformance.bounds import Precision, allowances
from mindref.conformance.bounds.evaluate import Wrap
from mindref.conformance.runner.call import Call, map_floats
from mindref.conformance.runner.composed_backend import ComposedBackend, reference_model
from mindref.conformance.runner.reference import CallKey, training_answer
from mindref.models import mind
from mindref.models.family import family_of
from mindref.models.parameters import Catalogue
from mindref.shapes import Array
from mindref.training import optimiser

MIN_PRE_ACTIVATION = 2e-3
"""Smallest allowed |x W + b| before a ReLU: at least 100 times the rounding error in float32."""
MIN_SCORE = 0.03
"""Smallest allowed |score|. If the power is infinite: smallest gap of the two largest scores."""
MIN_PRODUCT_GAP = 2e-3
"""If the sharpness is infinite: smallest gap of the two largest products of an item."""
MIN_LENGTH = 0.1
"""Smallest allowed norm of a user vector that is normalised."""
MAX_STEP_ERROR = 0.02
"""Largest allowed float32 error bound of a loss or parameter, divided by the learning rate."""
FLOAT32 = Precision.of("float32")


def is_differentiable(params: Any, batch: Any, catalogue: Catalogue, config: Config) -> bool:
    """Return whether the loss of `batch` is differentiable at `params` and at nearby parameters."""
    _, saved = family_of(config.model).loss(params, batch, catalogue, config)
    if not rectifiers_are_away(params, saved):
        return False
    if config.attention == "pooled":
        return products_are_away(saved, config)
    return scores_are_away(saved, config) and user_vectors_are_long(saved, config)


def is_well_conditioned(call: Call) -> bool:
    """Return whether the loss of every step is differentiable and float32 errors stay small.

    Adam divides by the magnitude of a gradient, so errors grow from step to step. If errors are as
    large as a training step, the checks cannot detect a wrong step.
    """
    params, batches, catalogue = call.arrays.values()
    config, rate = call.numbers["config"], call.numbers["learning_rate"]
    model = reference_model()
    state = model.init(params, config)
    for batch in batches:
        if not is_differentiable(state.params, batch, catalogue, config):
            return False
        state, _ = model.step(state, batch, catalogue, config, rate)
    return errors_are_small(CallKey(call.to(np.float64), FLOAT32, "worst"), MAX_STEP_ERROR * rate)


class LargeError(Exception):
    """The error bound of a loss is too large."""


class BoundedModel(ComposedBackend):
    """The reference, which ends at the first loss whose float32 error bound is not below `limit`.

    Nearly every rejected training has such a loss after the first step, so the gradient and the
    later steps need not be computed.
    """

    def __init__(self, limit: float) -> None:
        super().__init__(ops, mind, optimiser, name="bounded")
        self.limit = limit

    def loss_and_gradients(
        self, params: Any, batch: Any, catalogue: Catalogue, config: Config
    ) -> tuple[Any, Any]:
        """Return the loss and the gradients. Raises LargeError for a large error bound."""
        family = self.families[config.model].FAMILY
        loss, saved = family.loss(params, batch, catalogue, config, self.ops)
        if not largest_bound(lambda wrap: {"loss": loss}) < self.limit:
            raise LargeError
        return loss, family.backward(saved, ops=self.ops)


@lru_cache(maxsize=4096)  # several checks draw the same trainings
def errors_are_small(key: CallKey, limit: float) -> bool:
    """Return whether all float32 error bounds of losses and parameters are below `limit`."""
    model = BoundedModel(limit)
    call = key.call

    def train(wrap: Wrap) -> dict[str, Any]:
        wrapped = call._replace(arrays=map_floats(wrap, call.arrays))
        return training_answer(wrapped, wrap, model)

    try:
        return largest_bound(train) < limit
    except LargeError:
        return False


def largest_bound(function: Callable[[Wrap], dict[str, Any]]) -> float:
    """Return the largest float32 error bound of the arrays that `function` returns."""
    parts = allowances(function, FLOAT32, "worst").parts.values()
    return float(np.max([np.max(part.error, initial=0) for part in parts]))


def rectifiers_are_away(params: Any, saved: Any) -> bool:
    """Return whether the ReLU inputs of all active interests are far from 0."""
    active = saved.interests.active.reshape(-1)
    for layer, saved_layer in zip(params.layers, saved.interests.layers, strict=True):
        sums = (saved_layer.x @ layer.weight + layer.bias)[active]
        if saved_layer.passed is not None and smallest_magnitude(sums) < MIN_PRE_ACTIVATION:
            return False
    return True


def products_are_away(saved: Any, config: Config) -> bool:
    """Return whether a pooled loss is far from points where it has no derivative.

    Such points are two equal largest products of an item at an infinite sharpness, and an interest
    of length 0 that is normalised.
    """
    pooled, num_active = saved.softmax, saved.interests.active.sum(axis=1)
    if config.normalise:
        reciprocals = pooled.units[0].across[pooled.active]  # 0 for a zero vector
        if np.max(reciprocals) > 1 / MIN_LENGTH:
            return False
    if not np.isinf(config.sharpness):
        return True
    of_targets = np.einsum("bkd,bd->bk", pooled.interests, pooled.target)[..., None]
    products = np.concatenate([of_targets, pooled.interests @ pooled.negatives.T], axis=2)
    ordered = np.sort(np.where(pooled.active[..., None], products, -np.inf), axis=1)
    gaps = (ordered[:, -1:] - ordered[:, -2:-1])[num_active > 1]
    return smallest_magnitude(gaps) > MIN_PRODUCT_GAP


def scores_are_away(saved: Any, config: Config) -> bool:
    """Return whether the scores are far from points where the attention has no derivative."""
    scores, active = saved.attention.scores, saved.interests.active
    power = saved.attention.power
    if np.isinf(power):
        ordered = np.sort(np.where(active, scores, -np.inf), axis=1)
        gaps = ordered[:, -1:] - ordered[:, -2:-1]  # empty for a single interest
        return smallest_magnitude(gaps) > MIN_SCORE
    return power in (0, 1) or smallest_magnitude(scores[active]) > MIN_SCORE


def user_vectors_are_long(saved: Any, config: Config) -> bool:
    """Return whether all user vectors are 0 or longer than `MIN_LENGTH`, or are not normalised."""
    attention = saved.attention
    users = np.einsum("bk,bkd->bd", attention.weights.out, attention.interests)
    lengths = np.linalg.norm(users, axis=1)
    return not config.normalise or smallest_magnitude(lengths[lengths > 0]) > MIN_LENGTH


def smallest_magnitude(x: Array) -> Any:
    """Return the smallest |x|, or infinity if x is empty."""
    return np.min(np.abs(x), initial=np.inf)
