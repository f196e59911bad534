"""Test whether a model call is far from all points where the loss has no derivative.

Such points are a ReLU input of 0, two equal scores and a score of 0. Near such a point, rounding
may change a sign or the order of scores. Then two correct gradients can differ a lot.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.config import Config
from mindref.conformance.bounds import Precision
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.composed_backend import reference_model
from mindref.conformance.runner.reference import expected_answer
from mindref.models.family import family_of
from mindref.models.parameters import Catalogue
from mindref.shapes import Array

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
    expected = expected_answer(call, FLOAT32, "worst").values()
    return all(np.max(part.allowed, initial=0) < MAX_STEP_ERROR * rate for part in expected)


def rectifiers_are_away(params: Any, saved: Any) -> bool:
    """Return whether the ReLU inputs of all active interests are far from 0."""
    active = saved.interests.active.reshape(-1)
    head = getattr(saved.interests, "head", saved.interests)  # MIND has no separate head
    for layer, saved_layer in zip(params.layers, head.layers, strict=True):
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
