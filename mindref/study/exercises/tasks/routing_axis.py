"""routing-axis: sizes that differ, sizes that do not, and logits beyond the range of exp."""

from __future__ import annotations

import numpy as np

from mindref.ops import softmax
from mindref.shapes import Array
from mindref.study.exercises.cases import Case, Group, Inputs, Terms


def groups(rng: np.random.Generator) -> list[Group]:
    """Return the cases."""
    return [
        Group(
            "uneven sizes",
            "a sum over another axis gives other numbers, and a transposed answer another shape",
            (
                Case("2 users, L=5 K=3", {"logits": rng.normal(size=(2, 5, 3))}),
                Case("1 user, L=4 K=2", {"logits": rng.normal(size=(1, 4, 2))}),
            ),
        ),
        Group(
            "L = K",
            "axes of one size, where no shape gives a wrong axis away",
            (Case("3 users, L=3 K=3", {"logits": rng.normal(size=(3, 3, 3))}),),
        ),
        Group(
            "large logits",
            "exp of them is infinite",
            (
                Case(
                    "logits up to 1000",
                    {"logits": np.clip(800 * rng.normal(size=(2, 4, 3)), -1000, 1000)},
                ),
            ),
        ),
    ]


def reference(given: Inputs) -> Array:
    """Return the weights of `softmax.forward` over the interests."""
    logits = given["logits"]
    return softmax.forward(logits, np.ones(logits.shape, bool), axis=2)[0]


def terms(given: Inputs, part: str, index: tuple[int, ...]) -> Terms:
    """Return exp of the logit of this interest, and of every interest."""
    b, i, j = index
    logits = given["logits"][b, i]
    raised = np.exp(logits - logits.max())
    every = [(f"exp(b - max) of interest {k}", float(x)) for k, x in enumerate(raised)]
    return Terms("quotient", (every[j], *every))
