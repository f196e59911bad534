"""Distance of a model call from the points where the model has no derivative.

At the zero of a ReLU, at a tie of scores and at a score of zero, two correct implementations may
take different sides. Their gradients then differ by more than rounding.
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
"""Smallest allowed |x W + b| before a ReLU; the float32 error is at most a hundredth of it."""
MIN_SCORE = 0.03
"""Smallest allowed |score|, or gap of the two largest scores, where the power has a kink."""
MIN_LENGTH = 0.1
"""Smallest allowed norm of a vector that is normalised."""
MAX_STEP_ERROR = 0.02
"""Largest worst-case error in float32, as a fraction of the learning rate."""
FLOAT32 = Precision.of("float32")


def is_differentiable(params: Params, batch: Batch, catalogue: Catalogue, config: Config) -> bool:
    """Return whether the loss of a batch is away from every point without derivative."""
    _, saved = mind.loss(params, batch, catalogue, config)
    return (
        rectifiers_are_away(params, saved)
        and scores_are_away(saved, config)
        and user_vectors_are_long(saved, config)
    )


def is_well_conditioned(call: Call) -> bool:
    """Return whether every step is differentiable and float32 errors stay small.

    Adam divides by the magnitude of a gradient, so that an error grows from step to step. If it
    reached a fraction of the step itself, a wrong step could not be distinguished from a right one.
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
    """Return whether no pre-activation of an active interest is near the zero of its ReLU."""
    active = saved.interests.active.reshape(-1)
    for layer, saved_layer in zip(params.layers, saved.interests.layers, strict=True):
        sums = (saved_layer.x @ layer.weight + layer.bias)[active]
        if saved_layer.passed is not None and smallest_magnitude(sums) < MIN_PRE_ACTIVATION:
            return False
    return True


def scores_are_away(saved: Saved, config: Config) -> bool:
    """Return whether no score is near a kink of the power, and the largest score is unique."""
    scores, active = saved.attention.scores, saved.interests.active
    power = saved.attention.power
    if np.isinf(power):
        ordered = np.sort(np.where(active, scores, -np.inf), axis=1)
        gaps = ordered[:, -1:] - ordered[:, -2:-1]  # empty for a single interest
        return smallest_magnitude(gaps) > MIN_SCORE
    return power in (0, 1) or smallest_magnitude(scores[active]) > MIN_SCORE


def user_vectors_are_long(saved: Saved, config: Config) -> bool:
    """Return whether every user vector that is normalised has a sufficient norm."""
    attention = saved.attention
    users = np.einsum("bk,bkd->bd", attention.weights.out, attention.interests)
    return not config.normalise or smallest_magnitude(np.linalg.norm(users, axis=1)) > MIN_LENGTH


def smallest_magnitude(x: Array) -> Any:
    """Return the smallest magnitude, or infinity for an empty array."""
    return np.min(np.abs(x), initial=np.inf)
