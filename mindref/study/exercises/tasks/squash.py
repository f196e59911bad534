"""squash: norms below and above one, very short and long vectors, and the zero vector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mindref.ops import squash
from mindref.shapes import Array
from mindref.study.exercises.cases import Cases, EntryTerms, ExerciseTask, Inputs


def make_vectors(rng: np.random.Generator, norms: Sequence[float], width: int = 4) -> Array:
    """Return vectors (len(norms), width) with these norms."""
    x = rng.normal(size=(len(norms), width))
    return x / np.linalg.norm(x, axis=1, keepdims=True) * np.array(norms)[:, None]


class SquashTask(ExerciseTask):
    """The cases of squash."""

    def make_cases(self, rng: np.random.Generator) -> Cases:
        """Return the cases."""
        zero = make_vectors(rng, [0.3, 1, 4])[None]
        zero[0, 1] = 0
        batch = np.stack([make_vectors(rng, [0.3, 1, 4]), make_vectors(rng, [2, 0.5, 1])])
        three_norms = make_vectors(rng, [0.3, 1, 4])[None]
        short = make_vectors(rng, [1e-4, 2e-4, 1e-4])[None]
        long = make_vectors(rng, [30, 20, 40])[None]
        one_interest = make_vectors(rng, [0.5])[None]
        return {
            "norms .3 1 4": {
                "K=3 D=4, norms .3 1 4": {"sums": three_norms},
                "the same, 2 users": {"sums": batch},
            },
            "short and long": {"norms 1e-4": {"sums": short}, "norms 30": {"sums": long}},
            "zero vector": {"one zero vector": {"sums": zero}},
            "K = 1": {"K=1 D=4": {"sums": one_interest}},
        }

    def compute_answer(self, inputs: Inputs) -> Array:
        """Return the capsules of `squash.forward`."""
        return squash.forward(inputs["sums"])[0]

    def explain_entry(self, inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
        """Return the component and its factor."""
        return EntryTerms.of_squash("z", inputs["sums"][index[:-1]], index[-1])


TASK = SquashTask()
