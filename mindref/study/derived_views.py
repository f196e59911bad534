"""The views of the page other than the trace, as JSON "mindref.derived-views/1".

reference    summary of the user, for comparison with variants
ledger       terms of the gradient with respect to the votes, S and e
curves       error of finite differences by step size
variants     deviations of public implementations for this user
ambiguities  readings of ambiguous points of the paper, each computed
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mindref.shapes import Array
from mindref.study import ambiguities, user_summary, variants
from mindref.study.gradients import differences
from mindref.study.gradients.differences import StepSizeCurve
from mindref.study.gradients.ledger import make_ledger
from mindref.study.tracing import trace_pair

if TYPE_CHECKING:
    from mindref.study.tracing import TrainingPair

FORMAT = "mindref.derived-views/1"
CURVE_TENSORS = (
    "S", "e", "Se", "b[1]", "w[{r}]", "z[{r}]", "v", "target", "neg", "s", "h", "q", "o",
)  # fmt: skip
"""Tensors with a step-size curve; the weight and bias of every layer have one too."""


def derive_views(
    pair: TrainingPair, titles: Sequence[str] | None = None, only: Iterable[str] | None = None
) -> dict[str, Any]:
    """Return ledger, curves, variants (all, or `only` some) and ambiguities as JSON values.

    titles: one for each item, default numbers. Raises ConfigError for an unknown variant.
    """
    cases = variants.compare_variants(pair, only, titles)  # first, because it may raise an error
    return {
        "format": FORMAT,
        "reference": user_summary.summarise_user(pair).to_json(titles),
        "ledger": {by: make_ledger(pair, by).to_json() for by in ("Se", "S", "e")},
        "curves": [dataclasses.asdict(curve) for curve in gradient_curves(pair)],
        "variants": [case.to_json(titles) for case in cases],
        "ambiguities": [card.to_json() for card in ambiguities.compute_cards(pair, titles=titles)],
    }


def gradient_curves(pair: TrainingPair) -> list[StepSizeCurve]:
    """Return a step-size curve for the entry with the largest gradient of each tensor.

    The gradients are exact: routing_gradient="all".
    """
    config = dataclasses.replace(pair.config, routing_gradient="all")
    pair = pair._replace(config=config)
    values = trace_pair(pair, phases=("forward", "backward")).values
    iterations = config.iterations if config.routing == "dynamic" else 1
    numbers = range(1, len(pair.params.layers) + 1)
    layers = [f"{kind}[{number}]" for number in numbers for kind in ("W", "bias")]
    names = [
        f"d_{name}" for name in (*(name.format(r=iterations) for name in CURVE_TENSORS), *layers)
    ]
    return [
        largest_entry_curve(pair, name, values[name])
        for name in names
        if name in values and np.any(values[name])
    ]


def largest_entry_curve(pair: TrainingPair, name: str, gradient: Array) -> StepSizeCurve:
    """Return the step-size curve of the entry with the largest gradient; ties: the first."""
    position = np.unravel_index(np.argmax(np.abs(gradient)), gradient.shape)
    index = tuple(int(i) for i in position)
    return differences.step_size_curve(
        pair, differences.perturbed_tensor(name), index, float(gradient[index])
    )
