"""sampled-softmax: corrections of several sizes, hits, repeats, large logits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mindref.ops import sampled_softmax
from mindref.shapes import Array
from mindref.study.exercises.cases import Cases, EntryTerms, ExerciseTask, Inputs

ORDER = (
    "user",
    "target",
    "negatives",
    "target_ids",
    "negative_ids",
    "target_log_expected",
    "negative_log_expected",
)
OF_USER = ("user", "target", "target_ids", "target_log_expected")


def make_loss_batch(
    rng: np.random.Generator, targets: Sequence[int], negatives: Sequence[int], width: int
) -> Inputs:
    """Return a batch of these items. Each item has one vector and one expected count."""
    table = rng.normal(size=(10, width))
    log_counts = rng.uniform(-2, 1, size=10)
    target_ids, negative_ids = np.array(targets), np.array(negatives)
    return {
        "user": rng.normal(size=(len(targets), width)),
        "target": table[target_ids],
        "negatives": table[negative_ids],
        "target_ids": target_ids,
        "negative_ids": negative_ids,
        "target_log_expected": log_counts[target_ids],
        "negative_log_expected": log_counts[negative_ids],
    }


def run_sampled_softmax(inputs: Inputs) -> tuple[Array, sampled_softmax.Saved]:
    """Return the result of `sampled_softmax.forward`."""
    return sampled_softmax.forward(*(inputs[name] for name in ORDER))


class SampledSoftmaxTask(ExerciseTask):
    """The cases of sampled-softmax."""

    def make_cases(self, rng: np.random.Generator) -> Cases:
        """Return the cases."""
        large = make_loss_batch(rng, [7, 2], [5, 4, 9], 4)
        large["user"] = large["user"] * 600
        three_users = make_loss_batch(rng, [1, 2, 3], [4, 5, 6, 7], 5)
        one_user = make_loss_batch(rng, [8], [0, 1, 2], 2)
        two_hits = make_loss_batch(rng, [4, 2, 6], [5, 4, 6, 7], 3)
        same_target = make_loss_batch(rng, [4, 4], [3, 4, 5], 3)
        repeats = make_loss_batch(rng, [4, 2], [9, 4, 9, 4, 5], 3)
        only_hits = make_loss_batch(rng, [4], [4, 4], 3)
        return {
            "no hits": {"3 users, S=4 D=5": three_users, "1 user, S=3 D=2": one_user},
            "hits": {
                "a hit for user 0 and for user 2": two_hits,
                "two users with one target": same_target,
            },
            "repeats": {"9 twice, 4 twice": repeats},
            "nothing but hits": {"S=2, both hits": only_hits},
            "large logits": {"products in the hundreds": large},
        }

    def compute_answer(self, inputs: Inputs) -> tuple[Array, ...]:
        """Return the losses of `sampled_softmax.forward` of each user, and of the batch."""
        losses = []
        for b in range(len(inputs["user"])):
            one_user = {name: inputs[name][b : b + 1] for name in OF_USER}
            losses.append(float(run_sampled_softmax({**inputs, **one_user})[0]))
        return np.array(losses), run_sampled_softmax(inputs)[0]

    def explain_entry(self, inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
        """Return the two terms of a user's loss, or the contribution of each user to the mean."""
        losses = self.compute_answer(inputs)[0]
        if part == "loss":
            return EntryTerms.of_sum("user {}: loss / B", losses / len(losses))
        (b,) = index
        product = inputs["user"][b] @ inputs["target"][b]
        target_logit = float(product - inputs["target_log_expected"][b])
        logits = inputs["negatives"] @ inputs["user"][b] - inputs["negative_log_expected"]
        logits = logits[inputs["negative_ids"] != inputs["target_ids"][b]]
        total = float(np.logaddexp.reduce([target_logit, *logits]))
        return EntryTerms("sum", (("log(exp(y) + sum_s exp(z_s))", total), ("-y", -target_logit)))


TASK = SampledSoftmaxTask()
