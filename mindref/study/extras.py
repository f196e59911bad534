"""Everything beside the trace in one piece of JSON, "mindref.extras/1".

reference    the user as in the trace: what variants are compared with
ledger       the gradient by place of use, by m, S and e
curves       the error of finite differences against the step
variants     deviations of public implementations on this user
ambiguities  doubtful points of the paper, every reading computed
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mindref.shapes import Array
from mindref.study import ambiguities, outcome, variants
from mindref.study.gradients import differences
from mindref.study.gradients.differences import Curve
from mindref.study.gradients.ledger import ledger_of
from mindref.study.run import trace_of

if TYPE_CHECKING:
    from mindref.study.run import Given

FORMAT = "mindref.extras/1"
CURVES = ("S", "e", "m", "b[1]", "w[{R}]", "z[{R}]", "u", "target", "neg", "s", "h", "q", "o")
"""Whose gradients d_.. have a curve, beside the weight and bias of every layer."""


def extras_of(
    given: Given, titles: Sequence[str] | None = None, only: Iterable[str] | None = None
) -> dict[str, Any]:
    """Return ledger, curves, variants (or those named in `only`) and ambiguities as plain data.

    titles: a name for each item; numbers without. Raises ConfigError for an unknown variant.
    """
    cases = variants.bench(given, only, titles)  # first: it is what may be refused
    return {
        "format": FORMAT,
        "reference": outcome.outcome(given).to_json(titles),
        "ledger": {by: ledger_of(given, by).to_json() for by in ("m", "S", "e")},
        "curves": [curve.to_json() for curve in curves(given)],
        "variants": [case.to_json(titles) for case in cases],
        "ambiguities": [card.to_json(titles) for card in ambiguities.cards(given, titles=titles)],
    }


def curves(given: Given) -> list[Curve]:
    """Return a curve for the entry of largest gradient of each tensor that has one.

    The gradients are those of a trace with routing_gradient="all": only they are slopes.
    """
    config = dataclasses.replace(given.config, routing_gradient="all")
    given = given._replace(config=config)
    values = trace_of(given, phases=("forward", "backward")).values
    rounds = config.iterations if config.routing == "dynamic" else 1
    numbers = range(1, len(given.params.layers) + 1)
    layers = [f"{kind}[{number}]" for number in numbers for kind in ("W", "bias")]
    names = [f"d_{name}" for name in (*(name.format(R=rounds) for name in CURVES), *layers)]
    return [
        curve_of(given, name, values[name])
        for name in names
        if name in values and np.any(values[name])
    ]


def curve_of(given: Given, name: str, gradient: Array) -> Curve:
    """Return the curve of the entry of largest gradient, the first of equals."""
    place = np.unravel_index(np.argmax(np.abs(gradient)), gradient.shape)
    index = tuple(int(i) for i in place)
    return differences.curve(given, differences.moved_by(name), index, float(gradient[index]))
