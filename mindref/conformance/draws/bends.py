"""Where the model bends, and whether a call keeps its distance from there.

At a rectifier's zero, at a tie of scores and at a score of zero two right implementations may take
different sides, and their gradients then differ by more than any rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.config import Config
from mindref.conformance.bounds import Precision
from mindref.conformance.judging.call import Call
from mindref.conformance.judging.composed import reference_model
from mindref.conformance.judging.reference import expected
from mindref.models import mind
from mindref.models.mind import Batch, Saved
from mindref.models.parameters import Catalogue, Params
from mindref.shapes import Array

RECTIFIER = 2e-3
"""The least size of a sum before a rectifier: float32 is off by a hundredth of it at the most."""
SCORE = 0.03
"""The least size of a score, or gap of the two largest, where the power bends."""
LENGTH = 0.1
"""The least length of a vector that is to become one."""
STEADY = 0.02
"""The largest error of the worst case in float32, in parts of the learning rate."""
SINGLE = Precision.of("float32")


def clear(params: Params, batch: Batch, catalogue: Catalogue, config: Config) -> bool:
    """Return whether the loss of a batch stays away from every bend."""
    _, saved = mind.loss(params, batch, catalogue, config)
    return rectifiers_clear(params, saved) and scores_clear(saved, config) and long(saved, config)


def steady(call: Call) -> bool:
    """Return whether every step stays clear of bends, and errors of float32 stay small.

    Adam divides by the size of a gradient, so an error grows from step to step; where it may reach
    a part of the step itself, a wrong step could not be told from a right one.
    """
    params, batches, catalogue = call.arrays.values()
    config, rate = call.numbers["config"], call.numbers["learning_rate"]
    model = reference_model()
    state = model.init(params, config)
    for batch in batches:
        if not clear(state.params, batch, catalogue, config):
            return False
        state, _ = model.step(state, batch, catalogue, config, rate)
    found = expected(call, SINGLE, "worst").values()
    return all(np.max(part.allowed, initial=0) < STEADY * rate for part in found)


def rectifiers_clear(params: Params, saved: Saved) -> bool:
    """Return whether no sum of an active interest is near the zero of its rectifier."""
    active = saved.interests.active.reshape(-1)
    for layer, kept in zip(params.layers, saved.interests.layers, strict=True):
        sums = (kept.x @ layer.weight + layer.bias)[active]
        if kept.passed is not None and smallest(sums) < RECTIFIER:
            return False
    return True


def scores_clear(saved: Saved, config: Config) -> bool:
    """Return whether no score is near a bend of the power, nor two near a tie of the largest."""
    scores, active = saved.attention.scores, saved.interests.active
    power = saved.attention.power
    if np.isinf(power):
        ordered = np.sort(np.where(active, scores, -np.inf), axis=1)
        return scores.shape[1] < 2 or smallest(ordered[:, -1] - ordered[:, -2]) > SCORE
    return power in (0, 1) or smallest(scores[active]) > SCORE


def long(saved: Saved, config: Config) -> bool:
    """Return whether every user's vector has a length, if it is to become one."""
    kept = saved.attention
    users = np.einsum("bk,bkd->bd", kept.weights.out, kept.interests)
    return not config.normalise or smallest(np.linalg.norm(users, axis=1)) > LENGTH


def smallest(x: Array) -> Any:
    """Return the smallest magnitude, infinity if there is none."""
    return np.min(np.abs(x), initial=np.inf)
