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
from mindref.models import mind
from mindref.models.mind import Batch, Saved
from mindref.models.parameters import Catalogue, Params
from mindref.shapes import Array

MIN_PRE_ACTIVATION = 2e-3
"""Smallest allowed |x W + b| before a ReLU: at least 100 times the rounding error in float32."""
MIN_SCORE = 0.03
"""Smallest allowed |score|. If the power is infinite: smallest gap of the two largest scores."""
MIN_LENGTH = 0.1
"""Smallest allowed norm of a user vector that is normalised."""
MAX_STEP_ERROR = 0.02
"""Largest allowed float32 error bound of a loss or parameter, divided by the learning rate."""
FLOAT32 = Precision.of("float32")


def is_differentiable(params: Params, batch: Batch, catalogue: Catalogue, config: Config) -> bool:
    """Return whether the loss of `batch` is differentiable at `params` and at nearby parameters."""
    _, saved = mind.loss(params, batch, catalogue, config)
    return (
        rectifiers_are_away(params, saved)
        and scores_are_away(saved, config)
        and user_vectors_are_long(saved, config)
    )


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


def rectifiers_are_away(params: Params, saved: Saved) -> bool:
    """Return whether the ReLU inputs of all active interests are far from 0."""
    active = saved.interests.active.reshape(-1)
    for layer, saved_layer in zip(params.layers, saved.interests.layers, strict=True):
        sums = (saved_layer.x @ layer.weight + layer.bias)[active]
        if saved_layer.passed is not None and smallest_magnitude(sums) < MIN_PRE_ACTIVATION:
            return False
    return True


def scores_are_away(saved: Saved, config: Config) -> bool:
    """Return whether the scores are far from points where the attention has no derivative."""
    scores, active = saved.attention.scores, saved.interests.active
    power = saved.attention.power
    if np.isinf(power):
        ordered = np.sort(np.where(active, scores, -np.inf), axis=1)
        gaps = ordered[:, -1:] - ordered[:, -2:-1]  # empty for a single interest
        return smallest_magnitude(gaps) > MIN_SCORE
    return power in (0, 1) or smallest_magnitude(scores[active]) > MIN_SCORE


def user_vectors_are_long(saved: Saved, config: Config) -> bool:
    """Return whether all user vectors have a norm above `MIN_LENGTH`, or are not normalised."""
    attention = saved.attention
    users = np.einsum("bk,bkd->bd", attention.weights.out, attention.interests)
    return not config.normalise or smallest_magnitude(np.linalg.norm(users, axis=1)) > MIN_LENGTH


def smallest_magnitude(x: Array) -> Any:
    """Return the smallest |x|, or infinity if x is empty."""
    return np.min(np.abs(x), initial=np.inf)
