"""route: several iterations, padding, other users in the batch, and the same users again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mindref.ops import routing
from mindref.ops.votes import sum_votes
from mindref.shapes import Array
from mindref.study.exercises.cases import Cases, EntryTerms, ExerciseTask, Inputs, make_mask


def make_users(
    rng: np.random.Generator,
    lengths: Sequence[int],
    behaviours: int,
    width: int,
    interests: int,
    iterations: int,
) -> Inputs:
    """Return users with histories of these lengths, padded to `behaviours`."""
    count = len(lengths)
    return {
        "history": rng.normal(size=(count, behaviours, width)),
        "mask": make_mask(lengths, behaviours),
        "bilinear": rng.normal(size=(width, width)) / np.sqrt(width),
        "init_logits": rng.normal(size=(count, behaviours, interests)),
        "iterations": iterations,
    }


def run_routing(inputs: Inputs, gradient: str = "all") -> tuple[Array, routing.Saved]:
    """Return the result of `routing.forward` with all interests active."""
    logits = inputs["init_logits"]
    active = np.ones((len(logits), logits.shape[2]), bool)
    arrays = (inputs["history"], inputs["mask"], inputs["bilinear"], logits, active)
    return routing.forward(*arrays, iterations=inputs["iterations"], gradient=gradient)


class RouteTask(ExerciseTask):
    """The cases of route."""

    def make_cases(self, rng: np.random.Generator) -> Cases:
        """Return the cases."""
        one_user = make_users(rng, [5], 5, 4, 3, 3)
        three_users = make_users(rng, [5, 4, 5], 5, 4, 3, 3)
        five_iterations = make_users(rng, [4], 4, 3, 2, 5)
        one_iteration = make_users(rng, [5], 5, 4, 3, 1)
        two_iterations = make_users(rng, [5], 5, 4, 3, 2)
        padded = make_users(rng, [2, 4], 5, 4, 3, 3)
        return {
            "three iterations": {
                "1 user, L=5 K=3 D=4 r=3": one_user,
                "L=4 K=2 D=3 r=5": five_iterations,
            },
            "one and two iterations": {"r=1": one_iteration, "r=2": two_iterations},
            "padding": {"2 and 4 of 5 behaviours": padded},
            "several users": {"3 users": three_users},
            "the same again": {"the 3 users again": three_users, "the first user again": one_user},
        }

    def compute_answer(self, inputs: Inputs) -> Array:
        """Return the capsules of `routing.forward`."""
        return run_routing(inputs)[0]

    def explain_entry(self, inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
        """Return the sum of the last iteration and the factor of squash."""
        _, saved = run_routing(inputs)
        b, k, d = index
        z = sum_votes(saved.couplings, saved.votes)[b, k]
        return EntryTerms.of_squash("z of the last iteration", z, d)


TASK = RouteTask()
