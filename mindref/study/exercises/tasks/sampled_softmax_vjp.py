"""sampled-softmax-vjp: batches of sampled-softmax, with a gradient of the loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mindref.ops import sampled_softmax
from mindref.shapes import Array
from mindref.study.exercises.cases import Cases, EntryTerms, ExerciseTask, Inputs, LossFunction
from mindref.study.exercises.tasks.sampled_softmax import make_loss_batch, run_sampled_softmax


class SampledSoftmaxVjpTask(ExerciseTask):
    """The cases of sampled-softmax-vjp."""

    def make_cases(self, rng: np.random.Generator) -> Cases:
        """Return the cases."""
        three_users = self.make_inputs(rng, [1, 2, 3], [4, 5, 6, 7], 5)
        one_user = self.make_inputs(rng, [8], [0, 1, 2], 2)
        two_hits = self.make_inputs(rng, [4, 2, 6], [5, 4, 6, 7], 3)
        only_hits = self.make_inputs(rng, [4], [4, 4], 3)
        repeats = self.make_inputs(rng, [4, 2], [9, 3, 9, 5], 3)
        return {
            "no hits": {"3 users, S=4 D=5": three_users, "1 user, S=3 D=2": one_user},
            "hits": {"a hit for user 0 and for user 2": two_hits, "S=2, both hits": only_hits},
            "repeats": {"9 twice": repeats},
        }

    def make_inputs(
        self, rng: np.random.Generator, targets: Sequence[int], negatives: Sequence[int], width: int
    ) -> Inputs:
        """Return a batch and the gradient of its loss."""
        batch = make_loss_batch(rng, targets, negatives, width)
        return {**batch, "d_loss": float(rng.uniform(0.5, 2))}

    def compute_answer(self, inputs: Inputs) -> tuple[Array, ...]:
        """Return the result of `sampled_softmax.backward`."""
        return sampled_softmax.backward(inputs["d_loss"], run_sampled_softmax(inputs)[1])

    def make_loss(self, inputs: Inputs) -> LossFunction:
        """Return d_loss times the mean loss."""
        return lambda perturbed: inputs["d_loss"] * float(run_sampled_softmax(perturbed)[0])

    def explain_entry(self, inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
        """Return the contribution of each inner product."""
        per_user = inputs["d_loss"] / len(inputs["user"])
        p = run_sampled_softmax(inputs)[1].p_negatives
        row, d = index
        user, target, negatives = (inputs[n][:, d] for n in ("user", "target", "negatives"))
        if part == "d_negatives":
            return EntryTerms.of_sum("user {}: p g/B q", p[:, row] * user * per_user)
        d_target_logit = -float(p[row].sum()) * per_user  # p_target - 1
        if part == "d_target":
            return EntryTerms("sum", (("(p - 1) g/B q", d_target_logit * float(user[row])),))
        of_target = ("target: (p - 1) g/B t", d_target_logit * float(target[row]))
        products = p[row] * negatives * per_user
        return EntryTerms.of_sum("negative {}: p g/B n", products, of_target)


TASK = SampledSoftmaxVjpTask()
