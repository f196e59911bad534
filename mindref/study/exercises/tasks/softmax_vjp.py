"""softmax-vjp: uneven sizes, weights near zero and one, and masked places."""

from __future__ import annotations

import numpy as np

from mindref.ops import softmax
from mindref.shapes import Array, Bools
from mindref.study.exercises.cases import Case, Group, Inputs, Loss, Terms, mask_of


def groups(rng: np.random.Generator) -> list[Group]:
    """Return the cases."""
    everywhere = np.ones((2, 3, 3), bool)
    masked = mask_of([2, 4], 4)[:, :, None] & mask_of([2, 3], 3)[:, None, :]
    return [
        Group(
            "uneven sizes",
            "a sum over another axis gives other numbers",
            (Case("2 users, L=4 K=3", case(rng, np.ones((2, 4, 3), bool), 1)),),
        ),
        Group(
            "sharp and even",
            "nearly equal weights hide what a weighted mean is, nearly one-hot ones the rest",
            (
                Case("logits near zero", case(rng, everywhere, 0.01)),
                Case("large logits", case(rng, everywhere, 3)),
            ),
        ),
        Group(
            "masked",
            "a weight of zero, whose logit changes nothing",
            (Case("2 of 4 behaviours, 2 of 3 interests", case(rng, masked, 1)),),
        ),
        Group(
            "K = 1",
            "a single interest, whose weight is one whatever its logit",
            (Case("L=3 K=1", case(rng, np.ones((1, 3, 1), bool), 1)),),
        ),
    ]


def case(rng: np.random.Generator, allowed: Bools, scale: float) -> Inputs:
    """Return weights where they are allowed, a gradient, and the logits that are moved."""
    logits = np.where(allowed, scale * rng.normal(size=allowed.shape), -np.inf)
    weights = softmax.forward(logits, allowed, axis=2)[0]
    return {"weights": weights, "d_weights": rng.normal(size=allowed.shape), "logits": logits}


def reference(given: Inputs) -> Array:
    """Return what `softmax.backward` gives."""
    return softmax.backward(given["d_weights"], softmax.Saved(given["weights"], 2))


def loss(given: Inputs) -> Loss:
    """Return <d_weights, softmax(logits)>; what was masked stays masked."""
    allowed = np.isfinite(given["logits"])

    def value(moved: Inputs) -> float:
        weights = softmax.forward(moved["logits"], allowed, axis=2)[0]
        return float(np.sum(given["d_weights"] * weights))

    return value


def terms(given: Inputs, part: str, index: tuple[int, ...]) -> Terms:
    """Return g times the own slope, and what every other weight adds."""
    b, i, j = index
    w, g = given["weights"][b, i], given["d_weights"][b, i]
    return Terms(
        "sum",
        tuple(
            (f"g of interest {k} times its slope", float(g[k] * w[k] * ((k == j) - w[j])))
            for k in range(len(w))
        ),
    )
