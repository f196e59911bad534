"""squash-vjp: norms below and above one, very short and long vectors, and the zero vector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mindref.ops import squash
from mindref.shapes import Array
from mindref.study.exercises.cases import (
    CaseGroup,
    EntryTerms,
    ExerciseCase,
    ExerciseTask,
    Inputs,
    LossFunction,
)
from mindref.study.exercises.tasks.squash import make_vectors


class SquashVjpTask(ExerciseTask):
    """The cases of squash-vjp."""

    def make_groups(self, rng: np.random.Generator) -> list[CaseGroup]:
        """Return the cases."""
        one_user = self.make_inputs(rng, [[0.3, 1, 4]])
        two_users = self.make_inputs(rng, [[0.3, 1, 4], [2, 0.5, 3]])
        short = self.make_inputs(rng, [[1e-4, 2e-4, 1e-4]])
        long = self.make_inputs(rng, [[30, 20, 40]])
        zero = self.make_inputs(rng, [[0]])
        one_interest = self.make_inputs(rng, [[0.5]])
        return [
            CaseGroup(
                "norms .3 1 4",
                "at norm one the radial part is zero; K and D differ",
                (
                    ExerciseCase("K=3 D=4, norms .3 1 4", one_user),
                    ExerciseCase("2 users, norms .3 to 4", two_users),
                ),
            ),
            CaseGroup(
                "short and long",
                "1 - n and 1 - n^2 are similar for short vectors, a missing factor n is not",
                (
                    ExerciseCase("norms 1e-4", short, step=1e-6),
                    ExerciseCase("norms 30", long),
                ),
            ),
            CaseGroup(
                "zero vector",
                "zero over zero",
                (ExerciseCase("a single zero vector", zero, step=1e-12),),
            ),
            CaseGroup(
                "K = 1",
                "a single vector, which hides a sum over the interests",
                (ExerciseCase("K=1 D=4, norm .5", one_interest),),
            ),
        ]

    def make_inputs(self, rng: np.random.Generator, norms: Sequence[Sequence[float]]) -> Inputs:
        """Return vectors with these norms, one list for each user, and a gradient."""
        sums = np.stack([make_vectors(rng, row) for row in norms])
        return {"sums": sums, "d_capsules": rng.normal(size=sums.shape)}

    def compute_answer(self, inputs: Inputs) -> Array:
        """Return the result of `squash.backward`."""
        return squash.backward(inputs["d_capsules"], squash.forward(inputs["sums"])[1])

    def make_loss(self, inputs: Inputs) -> LossFunction:
        """Return <d_capsules, squash(sums)>."""
        g = inputs["d_capsules"]
        return lambda perturbed: float(np.sum(g * squash.forward(perturbed["sums"])[0]))

    def explain_entry(self, inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
        """Return the scaled gradient, and the part of the changing norm."""
        z, g, d = inputs["sums"][index[:-1]], inputs["d_capsules"][index[:-1]], index[-1]
        n = float(np.linalg.norm(z))
        slope = (1 - n * n) / (1 + n * n) ** 2
        radial = slope * float(z @ g) * float(z[d]) / n if n else 0.0
        scaled = n / (1 + n * n) * float(g[d])
        return EntryTerms("sum", (("s g", scaled), ("s' <z, g> z / n", radial)))


TASK = SquashVjpTask()
