"""route-vjp-last: the gradient with constant weights of the last iteration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mindref.ops import routing, squash
from mindref.ops.votes import project_votes, spread_to_votes, sum_votes
from mindref.shapes import Array
from mindref.study.exercises.cases import Cases, EntryTerms, ExerciseTask, Inputs, LossFunction
from mindref.study.exercises.tasks.route import make_users, run_routing


def make_users_and_gradient(
    rng: np.random.Generator, lengths: Sequence[int], *sizes: int
) -> Inputs:
    """Return users, and a gradient with respect to their capsules; sizes: as in `make_users`."""
    users, (_, width, interests, _) = make_users(rng, lengths, *sizes), sizes
    return {**users, "d_capsules": rng.normal(size=(len(lengths), interests, width))}


def explain_from_votes(
    inputs: Inputs, d_votes: Array, part: str, index: tuple[int, ...]
) -> EntryTerms:
    """Return the products of an entry of a gradient, computed from the gradient of the votes."""
    if part == "d_init_logits":
        return EntryTerms("sum", (("zero: the weights are constant", 0.0),))
    if part == "d_history":
        b, i, e = index
        products = d_votes[b, i] * inputs["bilinear"][:, e]
        return EntryTerms.of_sum("component {}: d_(S e) S", products)
    d, e = index
    products = (d_votes[..., d] * inputs["history"][..., e])[inputs["mask"]]
    numbers = zip(np.argwhere(inputs["mask"]), products, strict=True)
    return EntryTerms(
        "sum", tuple((f"user {b}, behaviour {i}: d_(S e) e", float(x)) for (b, i), x in numbers)
    )


class RouteVjpLastTask(ExerciseTask):
    """The cases of route-vjp-last."""

    def make_cases(self, rng: np.random.Generator) -> Cases:
        """Return the cases."""
        three = make_users_and_gradient(rng, [4, 4], 4, 5, 3, 3)
        four = make_users_and_gradient(rng, [5], 5, 3, 2, 4)
        one = make_users_and_gradient(rng, [4], 4, 3, 2, 1)
        padded = make_users_and_gradient(rng, [1, 3], 4, 4, 3, 2)
        return {
            "several iterations": {
                "2 users, L=4 K=3 D=5 r=3": three,
                "1 user, L=5 K=2 D=3 r=4": four,
            },
            "one iteration": {"L=4 K=2 D=3 r=1": one},
            "padding": {"1 and 3 of 4 behaviours": padded},
        }

    def compute_answer(self, inputs: Inputs) -> tuple[Array, ...]:
        """Return the result of `routing.backward` with gradient="last"."""
        return routing.backward(inputs["d_capsules"], run_routing(inputs, "last")[1])

    def make_loss(self, inputs: Inputs) -> LossFunction:
        """Return <d_capsules, squash(sums)> with the weights of the unperturbed inputs."""
        g, weights = inputs["d_capsules"], run_routing(inputs, "last")[1].couplings

        def loss(perturbed: Inputs) -> float:
            sums = sum_votes(weights, project_votes(perturbed["history"], perturbed["bilinear"]))
            return float(np.sum(g * squash.forward(sums)[0]))

        return loss

    def explain_entry(self, inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
        """Return the products with the gradient of the votes."""
        saved = run_routing(inputs, "last")[1]
        d_sums = squash.backward(inputs["d_capsules"], saved.iterations[-1].squash)
        d_votes = spread_to_votes(saved.couplings, d_sums, saved.votes)
        return explain_from_votes(inputs, d_votes, part, index)


TASK = RouteVjpLastTask()
