"""agreement-vjp: different sizes, equal sizes, and a first use without gradient."""

from __future__ import annotations

import numpy as np

from mindref.ops.votes import spread_to_votes, sum_votes, vote_agreement
from mindref.shapes import Array
from mindref.study.exercises.cases import Cases, EntryTerms, ExerciseTask, Inputs, LossFunction


class AgreementVjpTask(ExerciseTask):
    """The cases of agreement-vjp."""

    def make_cases(self, rng: np.random.Generator) -> Cases:
        """Return the cases."""
        second_use_only = self.make_inputs(rng, 1, 3, 2, 4)
        second_use_only["d_votes_so_far"] = np.zeros((1, 3, 4))
        two_users = self.make_inputs(rng, 2, 4, 3, 5)
        one_user = self.make_inputs(rng, 1, 3, 2, 4)
        same_sizes = self.make_inputs(rng, 3, 3, 3, 3)
        return {
            "uneven sizes": {"2 users, L=4 K=3 D=5": two_users, "1 user, L=3 K=2 D=4": one_user},
            "L = K = D": {"3 users, L=3 K=3 D=3": same_sizes},
            "nothing so far": {"the first use has no gradient": second_use_only},
        }

    def make_inputs(
        self, rng: np.random.Generator, users: int, behaviours: int, interests: int, width: int
    ) -> Inputs:
        """Return votes, capsules, the gradient of their agreements, and that of the first use."""
        return {
            "votes": rng.normal(size=(users, behaviours, width)),
            "capsules": rng.normal(size=(users, interests, width)) / np.sqrt(width),
            "d_agreement": rng.normal(size=(users, behaviours, interests)),
            "d_votes_so_far": rng.normal(size=(users, behaviours, width)),
        }

    def compute_answer(self, inputs: Inputs) -> tuple[Array, ...]:
        """Return the result of step 5 of `routing.backward`, plus the first use."""
        votes, g = inputs["votes"], inputs["d_agreement"]
        second_use = spread_to_votes(g, inputs["capsules"], votes)
        return inputs["d_votes_so_far"] + second_use, sum_votes(g, votes)

    def make_loss(self, inputs: Inputs) -> LossFunction:
        """Return <d_agreement, agree(votes, capsules)> plus a first use, linear in the votes."""
        g, first = inputs["d_agreement"], inputs["d_votes_so_far"]

        def loss(perturbed: Inputs) -> float:
            second = np.sum(g * vote_agreement(perturbed["votes"], perturbed["capsules"]))
            return float(second + np.sum(first * perturbed["votes"]))

        return loss

    def explain_entry(self, inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
        """Return the products of the sum, and the gradient of the first use."""
        b, row, d = index
        g = inputs["d_agreement"][b]
        if part == "d_votes":
            products = g[row] * inputs["capsules"][b, :, d]
            first = ("d_votes_so_far", float(inputs["d_votes_so_far"][index]))
            return EntryTerms.of_sum("g u of interest {}", products, first)
        products = g[:, row] * inputs["votes"][b, :, d]
        return EntryTerms.of_sum("g (S e) of behaviour {}", products)


TASK = AgreementVjpTask()
