"""aggregate-vjp: different sizes, equal sizes, and masked positions."""

from __future__ import annotations

import numpy as np

from mindref.ops import softmax
from mindref.ops.votes import spread_to_votes, sum_votes, vote_agreement
from mindref.shapes import Array, Bools
from mindref.study.exercises.cases import (
    Cases,
    EntryTerms,
    ExerciseTask,
    Inputs,
    LossFunction,
    make_mask,
)


class AggregateVjpTask(ExerciseTask):
    """The cases of aggregate-vjp."""

    def make_cases(self, rng: np.random.Generator) -> Cases:
        """Return the cases."""
        masked = make_mask([2, 4], 4)[:, :, None] & make_mask([2, 3], 3)[:, None, :]
        two_users = self.make_inputs(rng, np.ones((2, 4, 3), bool), 5)
        one_user = self.make_inputs(rng, np.ones((1, 3, 2), bool), 4)
        same_sizes = self.make_inputs(rng, np.ones((3, 3, 3), bool), 3)
        some_masked = self.make_inputs(rng, masked, 5)
        return {
            "uneven sizes": {"2 users, L=4 K=3 D=5": two_users, "1 user, L=3 K=2 D=4": one_user},
            "L = K = D": {"3 users, L=3 K=3 D=3": same_sizes},
            "masked": {"2 of 4 behaviours, 2 of 3 interests": some_masked},
        }

    def make_inputs(self, rng: np.random.Generator, allowed: Bools, width: int) -> Inputs:
        """Return weights of a softmax, votes and a gradient."""
        users, behaviours, interests = allowed.shape
        weights = softmax.forward(rng.normal(size=allowed.shape), allowed, axis=2)[0]
        votes = rng.normal(size=(users, behaviours, width))
        return {
            "weights": weights,
            "votes": votes,
            "d_sums": rng.normal(size=(users, interests, width)),
        }

    def compute_answer(self, inputs: Inputs) -> tuple[Array, ...]:
        """Return the result of step 3 of `routing.backward`."""
        weights, votes, d_sums = inputs["weights"], inputs["votes"], inputs["d_sums"]
        return vote_agreement(votes, d_sums), spread_to_votes(weights, d_sums, votes)

    def make_loss(self, inputs: Inputs) -> LossFunction:
        """Return <d_sums, gather(weights, votes)>."""
        g = inputs["d_sums"]
        return lambda x: float(np.sum(g * sum_votes(x["weights"], x["votes"])))

    def explain_entry(self, inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
        """Return the products of the sum."""
        b, i, last = index
        w, vote, g = inputs["weights"][b, i], inputs["votes"][b, i], inputs["d_sums"][b]
        if part == "d_weights":
            return EntryTerms.of_sum("g (S e) of component {}", g[last] * vote)
        return EntryTerms.of_sum("w g of interest {}", w * g[:, last])


TASK = AggregateVjpTask()
