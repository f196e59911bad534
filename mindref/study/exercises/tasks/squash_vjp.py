"""squash-vjp: norms below and above one, very short and long vectors, and the zero vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from mindref.ops import squash
from mindref.shapes import Array
from mindref.study.exercises.cases import Cases, EntryTerms, ExerciseTask, Inputs, LossFunction
from mindref.study.exercises.tasks.squash import make_vectors


class SquashVjpTask(ExerciseTask):
    """The cases of squash-vjp."""

    difference_steps: ClassVar = {"norms 1e-4": 1e-6, "a single zero vector": 1e-12}

    def make_cases(self, rng: np.random.Generator) -> Cases:
        """Return the cases."""
        one_user = self.make_inputs(rng, [[0.3, 1, 4]])
        two_users = self.make_inputs(rng, [[0.3, 1, 4], [2, 0.5, 3]])
        short = self.make_inputs(rng, [[1e-4, 2e-4, 1e-4]])
        long = self.make_inputs(rng, [[30, 20, 40]])
        zero = self.make_inputs(rng, [[0]])
        one_interest = self.make_inputs(rng, [[0.5]])
        return {
            "norms .3 1 4": {
                "K=3 D=4, norms .3 1 4": one_user,
                "2 users, norms .3 to 4": two_users,
            },
            "short and long": {"norms 1e-4": short, "norms 30": long},
            "zero vector": {"a single zero vector": zero},
            "K = 1": {"K=1 D=4, norm .5": one_interest},
        }

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
