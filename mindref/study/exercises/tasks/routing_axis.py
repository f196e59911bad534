"""routing-axis: different sizes, equal sizes, and logits for which exp overflows."""

from __future__ import annotations

import numpy as np

from mindref.ops import softmax
from mindref.shapes import Array
from mindref.study.exercises.cases import Cases, EntryTerms, ExerciseTask, Inputs


class RoutingAxisTask(ExerciseTask):
    """The cases of routing-axis."""

    def make_cases(self, rng: np.random.Generator) -> Cases:
        """Return the cases."""
        two_users = {"logits": rng.normal(size=(2, 5, 3))}
        one_user = {"logits": rng.normal(size=(1, 4, 2))}
        same_sizes = {"logits": rng.normal(size=(3, 3, 3))}
        large = {"logits": np.clip(800 * rng.normal(size=(2, 4, 3)), -1000, 1000)}
        return {
            "uneven sizes": {"2 users, L=5 K=3": two_users, "1 user, L=4 K=2": one_user},
            "L = K": {"3 users, L=3 K=3": same_sizes},
            "large logits": {"logits up to 1000": large},
        }

    def compute_answer(self, inputs: Inputs) -> Array:
        """Return the weights of `softmax.forward` over the interests."""
        logits = inputs["logits"]
        return softmax.forward(logits, np.ones(logits.shape, bool), axis=2)[0]

    def explain_entry(self, inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
        """Return the exponential of this interest, and of every interest."""
        b, i, k = index
        logits = inputs["logits"][b, i]
        exps = np.exp(logits - logits.max())
        numbers = EntryTerms.name_numbers("exp(b - max) of interest {}", exps)
        return EntryTerms("quotient", (numbers[k], *numbers))


TASK = RoutingAxisTask()
