"""bug-6: three iterations, for which the bug has no effect, and other numbers of iterations."""

from __future__ import annotations

import numpy as np

from mindref.ops import routing, squash
from mindref.ops.votes import project_votes, sum_votes
from mindref.shapes import Array
from mindref.study.exercises.cases import Cases, EntryTerms, ExerciseTask, Inputs, LossFunction
from mindref.study.exercises.tasks.route import make_users, run_routing


class BilinearGradientTask(ExerciseTask):
    """The cases of bug-6: the gradient of routing with respect to its matrix."""

    def make_cases(self, rng: np.random.Generator) -> Cases:
        """Return the cases."""
        three, one = self.make_inputs(rng, 2, 3), self.make_inputs(rng, 2, 1)
        two, five = self.make_inputs(rng, 1, 2), self.make_inputs(rng, 2, 5)
        return {
            "three iterations": {"2 users, r=3": three},
            "fewer iterations": {"r=1": one, "r=2": two},
            "more iterations": {"r=5": five},
        }

    def make_inputs(self, rng: np.random.Generator, count: int, iterations: int) -> Inputs:
        """Return users, one with padding, and a gradient with respect to their capsules."""
        users = make_users(rng, [5, 3][:count], 5, 4, 3, iterations)
        arguments = {name: users[name] for name in ("history", "mask", "bilinear", "init_logits")}
        d_capsules = rng.normal(size=(count, 3, 4))
        return {**arguments, "d_capsules": d_capsules, "iterations": iterations}

    def compute_answer(self, inputs: Inputs) -> Array:
        """Return the result of `routing.backward` with gradient="last"."""
        saved = run_routing(inputs)[1]._replace(gradient="last")
        return routing.backward(inputs["d_capsules"], saved)[1]

    def make_loss(self, inputs: Inputs) -> LossFunction:
        """Return <d_capsules, squash(sums)> with constant weights of the last iteration."""
        saved, g = run_routing(inputs)[1], inputs["d_capsules"]

        def loss(perturbed: Inputs) -> float:
            sums = sum_votes(saved.couplings, project_votes(saved.history, perturbed["bilinear"]))
            return float(np.sum(g * squash.forward(sums)[0]))

        return loss

    def explain_entry(self, inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
        """Return the product of each behaviour: the gradient of its vote times its component."""
        d, e = index
        saved = run_routing(inputs)[1]
        d_sums = squash.backward(inputs["d_capsules"], saved.iterations[-1].squash)
        d_votes = saved.couplings @ d_sums
        products = d_votes[:, :, d] * saved.history[:, :, e]
        behaviours = [(b, i) for b, i in np.ndindex(products.shape) if inputs["mask"][b, i]]
        return EntryTerms(
            "sum", tuple((f"user {b}, behaviour {i}", float(products[b, i])) for b, i in behaviours)
        )


TASK = BilinearGradientTask()
