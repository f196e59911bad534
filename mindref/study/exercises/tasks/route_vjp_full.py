"""route-vjp-full: the gradient of each use of the matrix, and of all uses together."""

from __future__ import annotations

import numpy as np

from mindref.ops import routing, softmax, squash
from mindref.ops.votes import project_votes, spread_to_votes, sum_votes, vote_agreement
from mindref.shapes import Array
from mindref.study.exercises.cases import Cases, EntryTerms, ExerciseTask, Inputs, LossFunction
from mindref.study.exercises.tasks.route import run_routing
from mindref.study.exercises.tasks.route_vjp_last import explain_from_votes, make_users_and_gradient


class RouteVjpFullTask(ExerciseTask):
    """The cases of route-vjp-full."""

    def make_cases(self, rng: np.random.Generator) -> Cases:
        """Return the cases."""
        three = self.make_inputs(rng, [4, 4], 4, 2, 3, 3)
        four = self.make_inputs(rng, [3], 3, 4, 2, 4)
        one = self.make_inputs(rng, [4], 4, 3, 2, 1)
        two = self.make_inputs(rng, [3], 3, 2, 4, 2)
        padded = self.make_inputs(rng, [1, 3], 4, 2, 3, 3)
        return {
            "three iterations": {
                "2 users, L=4 K=3 D=2 r=3": three,
                "1 user, L=3 K=2 D=4 r=4": four,
            },
            "one and two iterations": {"L=4 K=2 D=3 r=1": one, "L=3 K=4 D=2 r=2": two},
            "padding": {"1 and 3 of 4 behaviours": padded},
        }

    def make_inputs(self, rng: np.random.Generator, lengths: list[int], *sizes: int) -> Inputs:
        """Return the inputs of route-vjp-last, and a copy of the matrix for each use."""
        inputs = make_users_and_gradient(rng, lengths, *sizes)
        uses = 2 * inputs["iterations"] - 1
        return {**inputs, "copies": np.stack([inputs["bilinear"]] * uses)}

    def run_backward(self, inputs: Inputs) -> tuple[list[Array], list[Array]]:
        """Return the gradient of the votes at each use, and of the logits at each softmax.

        Both lists are in the order of forward.
        """
        saved = run_routing(inputs)[1]
        votes, iterations = saved.votes, saved.iterations
        d_logits, d_capsules = np.zeros_like(inputs["init_logits"]), inputs["d_capsules"]
        vote_gradients, logit_gradients = [], []
        for iteration in reversed(range(len(iterations))):
            weights, squash_saved, capsules = iterations[iteration]
            if iteration < len(iterations) - 1:
                vote_gradients.append(spread_to_votes(d_logits, capsules, votes))
                d_capsules = sum_votes(d_logits, votes)
            d_sums = squash.backward(d_capsules, squash_saved)
            vote_gradients.append(spread_to_votes(weights.out, d_sums, votes))
            logit_gradients.append(softmax.backward(vote_agreement(votes, d_sums), weights))
            d_logits = d_logits + logit_gradients[-1]
        return vote_gradients[::-1], logit_gradients[::-1]

    def compute_answer(self, inputs: Inputs) -> tuple[Array, ...]:
        """Return the ledger, and the result of `routing.backward` with gradient="all"."""
        uses, _ = self.run_backward(inputs)
        ledger = np.stack([np.einsum("bld,ble->de", use, inputs["history"]) for use in uses])
        saved = run_routing(inputs)[1]
        d_history, d_bilinear, d_logits = routing.backward(inputs["d_capsules"], saved)
        return ledger, d_bilinear, d_history, d_logits

    def make_loss(self, inputs: Inputs) -> LossFunction:
        """Return <d_capsules, capsules>, with a separate matrix for each use."""
        g, iterations = inputs["d_capsules"], inputs["iterations"]
        allowed = inputs["mask"][:, :, None]

        def loss(perturbed: Inputs) -> float:
            matrices = perturbed["copies"] + (perturbed["bilinear"] - inputs["bilinear"])
            logits = perturbed["init_logits"]
            for iteration in range(iterations):
                weights, _ = softmax.forward(logits, np.broadcast_to(allowed, logits.shape), axis=2)
                votes = project_votes(perturbed["history"], matrices[2 * iteration])
                sums = sum_votes(weights, votes)
                capsules, _ = squash.forward(sums)
                if iteration < iterations - 1:
                    votes = project_votes(perturbed["history"], matrices[2 * iteration + 1])
                    logits = logits + vote_agreement(votes, capsules)
            return float(np.sum(g * capsules))

        return loss

    def explain_entry(self, inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
        """Return the uses of the matrix that are summed, or the products of one use."""
        uses, logit_gradients = self.run_backward(inputs)
        if part == "ledger":
            terms = explain_from_votes(inputs, uses[index[0]], "d_bilinear", index[1:])
            name = self.name_use(index[0])
            numbers = tuple((f"{name}, {text}", value) for text, value in terms.numbers)
            return EntryTerms(terms.how, numbers)
        if part == "d_init_logits":
            gradients = [x[index] for x in logit_gradients]
            iterations = range(1, len(gradients) + 1)
            return EntryTerms.of_sum("softmax {}", gradients, numbers=iterations)
        return EntryTerms(
            "sum",
            tuple(
                (self.name_use(i), explain_from_votes(inputs, use, part, index).value)
                for i, use in enumerate(uses)
            ),
        )

    def name_use(self, index: int) -> str:
        """Return a use of the matrix in words: sums 1, agreement 1, sums 2, ..."""
        return f"{'agreement' if index % 2 else 'sums'} {index // 2 + 1}"


TASK = RouteVjpFullTask()
