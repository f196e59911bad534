"""The measured numbers of a comparison: of the reference, then of the variant."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mindref.shapes import Array
from mindref.study.user_summary import UserSummary

BothSides = tuple[float, float]


class Measure(NamedTuple):
    """One number of reference and variant."""

    name: str
    text: str  # required value or meaning
    of: Callable[[UserSummary, UserSummary], BothSides]


def measure_each(
    number: Callable[[UserSummary], float],
) -> Callable[[UserSummary, UserSummary], BothSides]:
    """Return a measure of two summaries from a number of one summary."""
    return lambda reference, variant: (float(number(reference)), float(number(variant)))


def behaviour_weight_sums(outcome: UserSummary) -> Array:
    """Return the sum of the coupling weights of each behaviour; 1 for an empty history."""
    return outcome.w[outcome.mask].sum(axis=1) if outcome.mask.any() else np.ones(1)


def interest_shift(reference: UserSummary, variant: UserSummary) -> BothSides:
    """Return the relative difference of the interests from the reference."""
    size = float(np.linalg.norm(reference.v))
    gap = float(np.linalg.norm(variant.v - reference.v))
    return 0.0, gap / size if size else gap


def shared_items(reference: UserSummary, variant: UserSummary) -> BothSides:
    """Return the number of items in both lists."""
    reference_items, variant_items = (
        {listed.item for listed in summary.top} for summary in (reference, variant)
    )
    return float(len(reference_items)), float(len(reference_items & variant_items))


def gradient_cosine(reference: UserSummary, variant: UserSummary) -> BothSides:
    """Return the cosine between the gradients of S."""
    sizes = np.linalg.norm(reference.d_bilinear) * np.linalg.norm(variant.d_bilinear)
    return 1.0, float(np.sum(reference.d_bilinear * variant.d_bilinear) / sizes) if sizes else 0.0


def gradient_error(reference: UserSummary, variant: UserSummary) -> BothSides:
    """Return the relative difference of the gradient of S from the reference."""
    size = float(np.linalg.norm(reference.d_bilinear))
    gap = float(np.linalg.norm(variant.d_bilinear - reference.d_bilinear))
    return 0.0, gap / size if size else 0.0


def interest_spread(outcome: UserSummary) -> float:
    """Return the largest difference between two active interests in a component."""
    return float(np.ptp(outcome.v[outcome.active], axis=0).max(initial=0))


def worst_weight(outcome: UserSummary) -> float:
    """Return the attention weight of the active interest with the smallest score."""
    return float(outcome.h[np.argmin(np.where(outcome.active, outcome.s, np.inf))])


def best_weight(outcome: UserSummary) -> float:
    """Return the attention weight of the active interest with the largest score."""
    return float(outcome.h[np.argmax(np.where(outcome.active, outcome.s, -np.inf))])


MEASURES = {
    "min_behaviour_sum": Measure(
        "smallest sum of coupling weights of a film",
        "must be 1",
        measure_each(lambda o: behaviour_weight_sums(o).min()),
    ),
    "max_behaviour_sum": Measure(
        "largest sum of coupling weights of a film",
        "must be 1",
        measure_each(lambda o: behaviour_weight_sums(o).max()),
    ),
    "min_interest_sum": Measure(
        "smallest sum of coupling weights of an active interest",
        "",
        measure_each(lambda o: o.w[o.mask][:, o.active].sum(axis=0).min()),
    ),
    "entropy": Measure(
        "mean entropy of the coupling weights of a film (nats)",
        "0 for one interest with all weight, log K' for equal weights",
        measure_each(lambda o: o.entropy),
    ),
    "cosine": Measure(
        "mean cosine between interests",
        "1 if all interests have the same direction",
        measure_each(lambda o: o.cosine),
    ),
    "interest_spread": Measure(
        "largest difference between interests",
        "0 if all interests are equal",
        measure_each(interest_spread),
    ),
    "interest_shift": Measure("relative difference of the interests", "must be 0", interest_shift),
    "behaviours": Measure(
        "number of films in the history", "", measure_each(lambda o: int(o.mask.sum()))
    ),
    "count": Measure(
        "number of interests K'", "floor(log2 n)", measure_each(lambda o: o.interests)
    ),
    "shared": Measure("items in both lists", "of ten", shared_items),
    "loss": Measure("loss", "of this training pair", measure_each(lambda o: o.loss)),
    "gradient_norm": Measure(
        "norm of the gradient of S", "", measure_each(lambda o: float(np.linalg.norm(o.d_bilinear)))
    ),
    "gradient_cosine": Measure("cosine to the exact gradient of S", "must be 1", gradient_cosine),
    "gradient_error": Measure(
        "relative difference of the gradient of S", "must be 0", gradient_error
    ),
    "weight_of_worst": Measure(
        "attention weight of the interest with the smallest score",
        "the smallest weight",
        measure_each(worst_weight),
    ),
    "weight_of_best": Measure(
        "attention weight of the interest with the largest score",
        "the largest weight",
        measure_each(best_weight),
    ),
    "length": Measure(
        "mean length of active interests",
        "",
        measure_each(lambda o: float(np.linalg.norm(o.v[o.active], axis=1).mean())),
    ),
    "capsule_length": Measure(
        "mean length of the capsules of active interests",
        "",
        measure_each(lambda o: float(np.linalg.norm(o.u[o.active], axis=1).mean())),
    ),
    "inactive_weight": Measure(
        "coupling weight of inactive interests",
        "must be 0",
        measure_each(lambda o: o.w[o.mask][:, ~o.active].sum()),
    ),
}
