"""Compare levels "model" and "train" with the reference when one axis is long.

Spec: specs/conformance.md. See checks/sizes.py for the sizes, and for what a failure states.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from mindref.conformance.checks.sizes import LongAxis, add_long_axis
from mindref.conformance.draws.model_draws import (
    ITEMS,
    SMOOTH,
    ModelCase,
    draw_models,
    loss_call,
    serving_call,
)
from mindref.conformance.draws.training_draws import training_call
from mindref.conformance.runner.call import Call

RATE = 0.1


def smooth_models(
    sizes: tuple[int, ...], *, items: int = ITEMS, steps: int = 1, iterations: int = 2
) -> st.SearchStrategy[ModelCase]:
    """Draw models of these sizes (B, L, K, D) with two user features."""
    smooth = {**SMOOTH, "iterations": iterations}
    return draw_models(
        accept=lambda case: True, sizes=sizes, features=2, items=items, steps=steps, **smooth
    )


def with_many_rows(case: ModelCase) -> Call:
    """Return a training in which each step has gradients for about two thirds of the items."""
    count, rng = len(case.catalogue.rows), np.random.default_rng(0)
    batches = []
    for batch in case.batches:
        negatives = rng.permutation(count)[: 2 * count // 3]
        logs = np.zeros(len(negatives))
        batches.append(batch._replace(negatives=negatives, negative_log_expected=logs))
    return training_call(case._replace(batches=tuple(batches)), RATE)


LONG = (
    LongAxis("loss", "B", 131, smooth_models((131, 3, 2, 5)).map(loss_call)),
    LongAxis("loss", "L", 131, smooth_models((2, 131, 7, 4)).map(loss_call)),
    LongAxis("loss", "D", 131, smooth_models((2, 5, 3, 131)).map(loss_call), shortens=False),
    LongAxis("interests", "B", 131, smooth_models((131, 3, 2, 5)).map(serving_call)),
    LongAxis("interests", "L", 131, smooth_models((2, 131, 7, 4)).map(serving_call)),
    LongAxis(
        "training",
        "N",
        521,
        smooth_models((7, 5, 2, 3), items=521, steps=3, iterations=1).map(with_many_rows),
        shortens=False,
    ),
)
"""N is the number of items. D and N are not shortened: the parameters depend on them."""

RULES = {
    "loss": "model-R2, R9",
    "interests": "model-R2, R3",
    "training": "optimiser-R4, R1, R5",
}
"""Stem of the calls -> the rules of their results."""


for long_axis in LONG:
    add_long_axis(long_axis, RULES[long_axis.stem], __name__)
