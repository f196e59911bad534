"""zero-init: different numbers of interests, behaviours and iterations, and one iteration."""

from __future__ import annotations

import numpy as np

from mindref.ops import routing
from mindref.shapes import Array
from mindref.study.exercises.cases import Cases, EntryTerms, ExerciseTask, Inputs


class ZeroInitTask(ExerciseTask):
    """The cases of zero-init."""

    def make_cases(self, rng: np.random.Generator) -> Cases:
        """Return the cases."""
        return {
            "three iterations": {
                "2 users, L=5 K=4 r=3": self.make_inputs(rng, (2, 5, 6), 4, 3),
                "1 user, L=3 K=2 r=4": self.make_inputs(rng, (1, 3, 4), 2, 4),
            },
            "one iteration": {"L=4 K=3 r=1": self.make_inputs(rng, (2, 4, 5), 3, 1)},
        }

    def make_inputs(
        self, rng: np.random.Generator, shape: tuple[int, ...], interests: int, iterations: int
    ) -> Inputs:
        """Return votes of norm near one."""
        votes = 0.5 * rng.normal(size=shape)
        return {"votes": votes, "interests": interests, "iterations": iterations}

    def run_iterations(self, inputs: Inputs) -> tuple[Array, list[Array]]:
        """Return the weights of the last iteration, and the capsules of every iteration."""
        votes, interests = inputs["votes"], inputs["interests"]
        users, behaviours, width = votes.shape
        _, saved = routing.forward(
            votes,
            np.ones((users, behaviours), bool),
            np.eye(width),
            np.zeros((users, behaviours, interests)),
            np.ones((users, interests), bool),
            iterations=inputs["iterations"],
            gradient="all",
        )
        return saved.couplings, [iteration.capsules for iteration in saved.iterations]

    def compute_answer(self, inputs: Inputs) -> tuple[Array, ...]:
        """Return the largest differences, the last weights, the last capsules."""
        weights, capsules = self.run_iterations(inputs)
        return np.array([np.max(np.ptp(u, axis=1)) for u in capsules]), weights, capsules[-1]

    def explain_entry(self, inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
        """Return two equal numbers, a weight, or the sum of the votes and its factor."""
        interests = inputs["interests"]
        if part == "differences":
            u = float(self.run_iterations(inputs)[1][index[0]][0, 0, 0])
            numbers = (("a component of interest 0", u), ("minus that of interest 1", -u))
            return EntryTerms("sum", numbers)
        if part == "weights":
            exps = EntryTerms.name_numbers("exp(0) of interest {}", np.ones(interests))
            return EntryTerms("quotient", (exps[index[2]], *exps))
        z = inputs["votes"][index[0]].sum(axis=0) / interests
        return EntryTerms.of_squash("sum of votes / K", z, index[2])


TASK = ZeroInitTask()
